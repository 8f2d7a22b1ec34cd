"""A HuggingFace model in this process: loaded as a `transformers` text-generation pipeline.

    model = LocalModel.load("meta-llama/Llama-2-13b-chat-hf", dtype="bfloat16", device_map="auto")
    model.generate([{"role": "user", "content": "2 + 2 ="}]).text

What a bare pipeline leaves to its user is done here: the prompt is not part of the answer, tokens
are counted, a stream stops the model when its reader leaves, an error inside the model surfaces at
once, and a prompt that does not fit is refused in place of answered with noise.
"""

import importlib
import queue
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pickllm.errors import ConfigError, MissingExtra
from pickllm.local_answers import AnswerReader, knows_tools
from pickllm.tool_calls import BadToolCall, ToolCall

__all__ = ["Generated", "LocalModel"]

_LONGEST = 256
"""Tokens of an answer that nothing else bounds; a pipeline has the same default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """A finished answer, or the part of it that has come."""

    text: str = field(repr=False)
    tokens_in: int
    tokens_out: int
    finish_reason: str
    """"stop" where the model or a stop sequence ended it, "length" where the limit did."""
    calls: tuple[ToolCall, ...] = ()
    bad_calls: tuple[BadToolCall, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalModel:
    """A chat model of `transformers` with its tokenizer."""

    name: str
    pipeline: Any = field(repr=False)
    """The `transformers.TextGenerationPipeline`."""

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        dtype: str = "auto",
        device_map: str | Mapping[str, Any] | None = None,
        load_in_4bit: bool = False,
        **model_kwargs: Any,
    ) -> "LocalModel":
        """Load a model by its name on the hub, or from a folder.

        Args:
            model: Such as "meta-llama/Llama-2-13b-chat-hf", or a folder of ``save_pretrained``.
            dtype: Weights' type, such as "bfloat16"; "auto" is as saved.
            device_map: Where the layers go, "auto" for all GPUs there are; None is the CPU, or the
                first GPU.
            load_in_4bit: Quantise with bitsandbytes, on a GPU.
            model_kwargs: Anything else for ``from_pretrained``.

        Raises:
            ConfigError: There is no such model, it is no chat model, or an option cannot be had.
        """
        transformers = _transformers()
        if load_in_4bit:
            four_bits = transformers.BitsAndBytesConfig(load_in_4bit=True)
            model_kwargs["quantization_config"] = four_bits
        try:
            tokenizer = _chat_tokenizer(transformers, str(model))
            pipeline = transformers.pipeline(
                "text-generation",
                model=str(model),
                tokenizer=tokenizer,
                dtype=dtype,
                device_map=device_map,
                model_kwargs=model_kwargs,
            )
        except OSError as error:
            raise ConfigError(
                f"cannot load {str(model)!r}, which must be a model on the hub or a folder that "
                f"holds one: {error}"
            ) from error
        except ImportError as error:  # what an option needs, such as bitsandbytes for 4 bits
            raise ConfigError(f"cannot load {str(model)!r} so: {error}") from error
        return cls(name=str(model), pipeline=pipeline)

    @property
    def window(self) -> int | None:
        """Longest prompt and answer together, in tokens; None where the model does not say."""
        positions = getattr(self.pipeline.model.config, "max_position_embeddings", None)
        known = [limit for limit in (positions, self._max_length()) if limit is not None]
        return min(known, default=None)

    @property
    def knows_tools(self) -> bool:
        """Whether its chat template shows tools to the model."""
        return knows_tools(self.pipeline.tokenizer)

    def count_tokens(
        self, messages: Sequence[Mapping[str, Any]], *, tools: Sequence[Mapping[str, Any]] = ()
    ) -> int:
        """Length of the messages in tokens, as the model gets them."""
        return int(self._encoded(messages, tools)["input_ids"].shape[-1])

    def token_ids(self, text: str) -> list[int]:
        """Tokens of a text as it stands, without template."""
        return list(self.pipeline.tokenizer.encode(text, add_special_tokens=False))

    def generate(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        stop: Sequence[str] = (),
        left: threading.Event | None = None,
        **settings: Any,
    ) -> Generated:
        """Answer as a whole.

        Args:
            messages: Turns such as ``{"role": "user", "content": "2 + 2 ="}``.
            tools: What the model may call, such as
                ``{"type": "function", "function": {"name": "add", "parameters": {...}}}``.
            stop: Texts that end the answer, and are no part of it.
            left: Once it is set, from another thread, the model stops at its next token.
            settings: Those of `transformers.GenerationConfig`.
        """
        stop = _checked_stop(stop)
        encoded = self._encoded(messages, tools)
        output = self._run(encoded, stop=stop, left=left or threading.Event(), **settings)
        return self._generated(self._reader(encoded, tools), output, stop)

    def stream(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        stop: Sequence[str] = (),
        **settings: Any,
    ) -> Generator[str, None, Generated]:
        """Answer in pieces of text; returns the whole, with the tool calls that no piece shows.

        Closing it stops the model.
        """
        stop = _checked_stop(stop)
        encoded = self._encoded(messages, tools)
        reader = self._reader(encoded, tools)
        pieces: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
        left = threading.Event()
        outputs: list[Any] = []

        def work() -> None:
            try:
                streamer = _streamer(reader, pieces)
                outputs.append(
                    self._run(encoded, stop=stop, left=left, streamer=streamer, **settings)
                )
            except BaseException as error:  # handed to the reader
                pieces.put(error)
            else:
                pieces.put(None)

        threading.Thread(target=work, daemon=True, name="pickllm-generate").start()
        try:
            shown = yield from _sure(_until_stop(_drained(pieces), stop), reader)
            done = self._generated(reader, outputs[0], stop)
            if rest := done.text[len(shown) :]:
                yield rest
        finally:
            left.set()
        return done

    def _encoded(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> Any:
        from jinja2 import TemplateError

        if tools and not self.knows_tools:
            raise ConfigError(
                f"the chat template of {self.name} shows no tools to the model: route requests "
                "with tools to another one"
            )
        try:
            encoded = self.pipeline.tokenizer.apply_chat_template(
                list(messages),
                tools=list(tools) or None,
                add_generation_prompt=True,
                return_tensors="pt",
                return_dict=True,
            )
        except TemplateError as error:
            raise ConfigError(
                f"the chat template of {self.name} refuses these messages: {error}"
            ) from error
        return encoded.to(self.pipeline.model.device)

    def _reader(self, encoded: Any, tools: Sequence[Mapping[str, Any]]) -> AnswerReader:
        prompt = encoded["input_ids"][0].tolist()
        return AnswerReader(tokenizer=self.pipeline.tokenizer, tools=tools, prompt=prompt)

    def _run(
        self,
        encoded: Any,
        *,
        stop: Sequence[str],
        left: threading.Event,
        **settings: Any,
    ) -> Any:
        settings = self._bounded(int(encoded["input_ids"].shape[-1]), settings)
        if stop:
            settings.update(stop_strings=list(stop), tokenizer=self.pipeline.tokenizer)
        settings["stopping_criteria"] = [lambda ids, _scores, **_: _all(ids, left.is_set())]
        return self.pipeline.model.generate(**encoded, **settings)

    def _bounded(self, length: int, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with a limit of the answer that leaves it room behind ``length`` tokens.

        The limit takes the form that the model's own has, for `transformers` warns of both.
        """
        window, own = self.window, self.pipeline.model.generation_config
        if window is not None and length >= window:
            raise ConfigError(
                f"the prompt has {length} tokens and the window of {self.name} is {window}: "
                "shorten it, or route it to a model with a longer one"
            )
        limit = settings.get("max_new_tokens", own.max_new_tokens)
        if limit is None:
            limit = _LONGEST if self._max_length() is None else window
        if window is not None:
            limit = min(limit, window - length)
        if self._max_length() is None or own.max_new_tokens is not None:
            return {**settings, "max_new_tokens": limit}
        rest = {name: value for name, value in settings.items() if name != "max_new_tokens"}
        return {**rest, "max_length": length + limit}

    def _max_length(self) -> int | None:
        """The model's own limit of prompt and answer; some versions have a default that is none."""
        own = self.pipeline.model.generation_config
        return None if own.max_length == type(own)().max_length else own.max_length

    def _generated(self, reader: AnswerReader, output: Any, stop: Sequence[str]) -> Generated:
        tokens_in = len(reader.prompt)
        ids = output[0][tokens_in:].tolist()
        source = reader.decode(ids)
        cut = _first_stop(source, stop)
        ended = cut is not None or (bool(ids) and ids[-1] in self._end_tokens())
        answer = reader.read(source if cut is None else source[:cut])
        return Generated(
            text=answer.text,
            tokens_in=tokens_in,
            tokens_out=len(ids),
            finish_reason="stop" if ended else "length",
            calls=answer.calls,
            bad_calls=answer.bad_calls,
        )

    def _end_tokens(self) -> set[int]:
        ends = self.pipeline.model.generation_config.eos_token_id
        return set(ends) if isinstance(ends, list) else {ends}


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise MissingExtra("a model in this process", extra="local") from error


def _chat_tokenizer(transformers: Any, model: str) -> Any:
    """The tokenizer, which comes before the weights: these may be many gigabytes."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    if tokenizer.chat_template is None:
        raise ConfigError(
            f"the tokenizer of {model} has no chat template: take a chat model, or set one"
        )
    return tokenizer


def _checked_stop(stop: Sequence[str]) -> Sequence[str]:
    endings = (stop,) if isinstance(stop, str) else tuple(stop)
    if "" in endings:
        raise ConfigError("a stop sequence is empty: nothing could be answered before it")
    return endings


def _streamer(reader: Any, pieces: "queue.SimpleQueue[Any]") -> Any:
    """Puts pieces into a queue; of a tokenizer a streamer wants no more than ``reader`` has."""
    from transformers import TextStreamer

    class QueueStreamer(TextStreamer):
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            if text:
                pieces.put(text)

    return QueueStreamer(reader, skip_prompt=True)


def _all(ids: Any, stop: bool) -> Any:
    """A verdict for each row of the batch, as stopping criteria give it."""
    import torch

    return torch.full((ids.shape[0],), stop, device=ids.device, dtype=torch.bool)


def _drained(pieces: "queue.SimpleQueue[str | BaseException | None]") -> Iterator[str]:
    while (piece := pieces.get()) is not None:
        if isinstance(piece, BaseException):
            raise piece
        yield piece


def _first_stop(text: str, stop: Sequence[str]) -> int | None:
    found = [text.find(ending) for ending in stop]
    return min((index for index in found if index >= 0), default=None)


def _until_stop(pieces: Iterator[str], stop: Sequence[str]) -> Iterator[str]:
    """The pieces up to a stop sequence; what may become one is held back until that is known."""
    longest = max((len(ending) for ending in stop), default=1)
    held = ""
    for piece in pieces:
        held += piece
        cut = _first_stop(held, stop)
        if cut is not None:
            held = held[:cut]
            for _ in pieces:  # the model ends by itself at the stop sequence
                pass
            break
        sure = len(held) - longest + 1
        if sure > 0:
            yield held[:sure]
            held = held[sure:]
    if held:
        yield held


def _sure(pieces: Iterator[str], reader: AnswerReader) -> Generator[str, None, str]:
    """The pieces as far as they are text and no call; returns what it has shown."""
    source = shown = ""
    for piece in pieces:
        source += piece
        if new := reader.sure(source)[len(shown) :]:
            yield new
            shown += new
    return shown
