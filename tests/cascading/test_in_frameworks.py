"""Fitted cascades in both frameworks: one answer is seen, and it is the one that scores well."""

import asyncio
import re
from typing import Any

import numpy as np
import pytest
from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import BaseMessage
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback

from langchain_pickllm import RoutedChatModel
from llamaindex_pickllm import RoutedLLM
from pickllm.cascading import (
    CascadeFitting,
    CascadeSelection,
    PredictiveCascade,
    ThresholdCascade,
    fit_quality_model,
)
from pickllm.cascading.fitted import pairwise_agreement
from pickllm.features import default_features
from tests.cascading.worlds import sums

EASY, HARD = "What is 2 + 3?", "What is 712 + 805?"


def answer(prompt: str, *, slips: bool) -> str:
    """A sum; who slips is one off where numbers are large."""
    one, other = (int(number) for number in re.findall(r"\d+", prompt)[-2:])
    total = one + other + (slips and one + other >= 40)
    return f"{one} + {other} = {total}. The answer is {total}"


class Adder(SimpleChatModel):
    """A chat model that adds."""

    slips: bool = False
    asked: list[str] = []  # noqa: RUF012  # pydantic copies it

    @property
    def _llm_type(self) -> str:
        return "adder"

    def _call(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> str:
        self.asked.append(str(messages[-1].content))
        return answer(str(messages[-1].content), slips=self.slips)


class AddingLLM(CustomLLM):
    """An LLM of LlamaIndex that adds."""

    slips: bool = False
    asked: list[str] = []  # noqa: RUF012  # pydantic copies it

    @property
    def metadata(self) -> LLMMetadata:
        """Nothing special."""
        return LLMMetadata(model_name="adder")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The sum."""
        self.asked.append(prompt)
        return CompletionResponse(text=answer(prompt, slips=self.slips))

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """The sum, word by word."""
        self.asked.append(prompt)

        def pieces() -> CompletionResponseGen:
            text = ""
            for word in answer(prompt, slips=self.slips).split(" "):
                text += f" {word}" if text else word
                yield CompletionResponse(text=text, delta=f" {word}" if text != word else word)

        return pieces()


@pytest.fixture(scope="module")
def thresholds() -> ThresholdCascade:
    """A cascade that was fitted on sums."""
    fitting = CascadeFitting(selection=CascadeSelection(epsilon=0.05), shares=(0.4, 0.3, 0.3))
    found = fitting.fit(sums(900)).cascade
    assert isinstance(found, ThresholdCascade)
    return found


@pytest.fixture(scope="module")
def predictive(thresholds: ThresholdCascade) -> PredictiveCascade:
    """One that weighs what the large model adds, by the same scorer."""
    table = sums(400, seed=3)
    scored = table.scored(thresholds.scorer)  # type: ignore[arg-type]  # a learned one
    featurizer = default_features()
    model = fit_quality_model(
        scored,
        np.array([featurizer.features(prompt) for prompt in table.prompts]),
        agreement=pairwise_agreement(table.answers),
    )
    return PredictiveCascade(model=model, scorer=thresholds.scorer, usd_per_quality=0.01)


@pytest.fixture(params=["thresholds", "predictive"])
def cascade(request: pytest.FixtureRequest) -> Any:
    """Either kind."""
    return request.getfixturevalue(request.param)


def test_langchain_shows_the_small_models_answer_or_the_large_ones(cascade: Any) -> None:
    """Easy sums end with the small model; what it gets wrong the large one is asked."""
    models = {"small": Adder(slips=True, asked=[]), "large": Adder(asked=[])}
    model = RoutedChatModel(models=models, cascade=cascade, seed=1)

    assert model.invoke(EASY).text.endswith("answer is 5")
    assert models["large"].asked == []
    assert model.invoke(HARD).text.endswith("answer is 1517")
    assert models["large"].asked == [HARD]
    streamed = "".join(piece.text for piece in model.stream(HARD))
    assert streamed == answer(HARD, slips=False)
    assert asyncio.run(model.ainvoke(HARD)).text == streamed


def test_llamaindex_shows_the_small_models_answer_or_the_large_ones(cascade: Any) -> None:
    """The same for completions, whole and streamed."""
    llms = {"small": AddingLLM(slips=True, asked=[]), "large": AddingLLM(asked=[])}
    llm = RoutedLLM(llms=llms, cascade=cascade, seed=1)

    assert llm.complete(EASY).text.endswith("answer is 5")
    assert llms["large"].asked == []
    assert llm.complete(HARD).text.endswith("answer is 1517")
    streamed = [frame.text for frame in llm.stream_complete(HARD)]
    assert streamed[-1] == answer(HARD, slips=False)
    assert asyncio.run(llm.acomplete(HARD)).text == streamed[-1]
