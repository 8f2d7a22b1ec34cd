"""What `generate` takes and gives in terms of single calls: a config for each, one result."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from langchain_core.callbacks import Callbacks
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult, RunInfo
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.uuid import uuid7

__all__ = ["configs_for", "result_of"]


def configs_for(  # noqa: PLR0917  # generate's own arguments, handed on
    count: int,
    callbacks: Callbacks,
    tags: list[str] | None,
    metadata: dict[str, Any] | None,
    run_name: str | None,
    run_id: UUID | None,
) -> list[RunnableConfig]:
    """A config for each list of messages; ``run_id`` names the first one's run."""
    shared = RunnableConfig(callbacks=callbacks, tags=tags or [], metadata=metadata or {})
    if run_name is not None:
        shared["run_name"] = run_name
    ids = [run_id or uuid7(), *(uuid7() for _ in range(count - 1))]
    return [RunnableConfig(**shared, run_id=run_id) for run_id in ids[:count]]


def result_of(answers: Sequence[AIMessage], configs: Sequence[RunnableConfig]) -> LLMResult:
    """The answers as one result, with the id of the router's run for each."""
    return LLMResult(
        generations=[[ChatGeneration(message=message)] for message in answers],
        run=[RunInfo(run_id=cast("UUID", config["run_id"])) for config in configs],
    )
