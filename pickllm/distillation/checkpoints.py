"""Where a training stands, in a folder: plain tensors and JSON, never pickle.

    state.json                 step, losses, and the name of the weights that belong to it
    STEP-weights.safetensors   what is trained, with both moments of the optimiser
    best.safetensors           what is trained, as it was after the best epoch

Each file is replaced as a whole, and the state last: whenever it is killed, it can go on.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pickllm.errors import StateConflict

__all__ = ["Checkpoints", "Reached"]

_STATE, _WEIGHTS, _BEST = "state.json", "weights.safetensors", "best.safetensors"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """Where a training stands."""

    step: int = 0
    losses: list[float] = field(default_factory=list)
    """Held out, after each epoch."""


class Checkpoints:
    """Reads and writes where the training of a model stands."""

    def __init__(self, folder: Path, name_to_weight: dict[str, Any], optimizer: Any) -> None:
        self._folder = folder
        self._name_to_weight = name_to_weight
        self._optimizer = optimizer

    def load(self) -> Reached:
        """Take over what the folder holds, if it holds anything."""
        from safetensors.torch import load_file

        try:
            fields = json.loads((self._folder / _STATE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Reached()
        reached = Reached(step=fields["step"], losses=fields["losses"])
        saved = load_file(self._folder / fields["weights"])
        try:
            self._fill({name: saved[name] for name in self._name_to_weight})
            for name, weight in self._name_to_weight.items():
                self._optimizer.state[weight] = {
                    "step": saved[f"{name}|step"],
                    "exp_avg": saved[f"{name}|exp_avg"].to(weight.device),
                    "exp_avg_sq": saved[f"{name}|exp_avg_sq"].to(weight.device),
                }
        except (KeyError, RuntimeError) as error:
            raise StateConflict(f"{self._folder} holds another model's training") from error
        return reached

    def save(self, reached: Reached) -> None:
        """Write it all; the state names the weights that belong to it, and is replaced last."""
        from safetensors.torch import save_file

        self._folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            name: weight.detach().contiguous() for name, weight in self._name_to_weight.items()
        }
        for name, weight in self._name_to_weight.items():
            for what, value in self._optimizer.state[weight].items():
                tensors[f"{name}|{what}"] = value.contiguous()
        file = self._folder / f"{reached.step}-{_WEIGHTS}"
        save_file(tensors, file)
        text = json.dumps({**asdict(reached), "weights": file.name})
        unfinished = self._folder / f"{_STATE}.unfinished"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(self._folder / _STATE)
        for old in self._folder.glob(f"*-{_WEIGHTS}"):
            if old != file:
                old.unlink()

    def keep_best(self) -> None:
        """The weights as they are now are the best so far."""
        from safetensors.torch import save_file

        self._folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            name: weight.detach().contiguous() for name, weight in self._name_to_weight.items()
        }
        unfinished = self._folder / f"{_BEST}.unfinished"
        save_file(tensors, unfinished)
        unfinished.replace(self._folder / _BEST)

    def take_best(self) -> None:
        """Put the best weights into the model."""
        from safetensors.torch import load_file

        self._fill(load_file(self._folder / _BEST))

    def _fill(self, name_to_tensor: dict[str, Any]) -> None:
        import torch

        with torch.no_grad():
            for name, weight in self._name_to_weight.items():
                weight.copy_(name_to_tensor[name])
