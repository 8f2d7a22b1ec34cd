"""LangChain models as judges: asked outside of the chain, and counted for themselves."""

from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import FakeListChatModel, FakeListLLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda

from langchain_pickllm import RoutedChatModel, ask_of
from pickllm import Arm, ConfigError
from pickllm.scoring import Expenses, LLMJudge
from tests.langchain.scripted import ScriptedChatModel

PRICED = Arm(usd_per_mtok_in=1.0, usd_per_mtok_out=10.0)


class Heard(BaseCallbackHandler):
    """Who was asked, and which tokens came, within a chain."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.models = 0

    def on_chat_model_start(self, *_args: Any, **_kwargs: Any) -> None:
        """A model of the chain is asked."""
        self.models += 1

    def on_llm_new_token(self, token: Any, **_kwargs: Any) -> None:
        """It says something."""
        self.tokens.append(str(token))


def test_an_arm_of_the_pool_may_judge() -> None:
    """Its judging is counted apart from its answers, with its tokens and its price."""
    large = ScriptedChatModel(says="SCORE: 8")
    judge = LLMJudge(ask=ask_of(large), expenses=Expenses(PRICED))
    pool = {"small": ScriptedChatModel(says="4"), "large": large}
    model = RoutedChatModel(models=pool, arms=dict.fromkeys(pool, PRICED), scorer=judge)

    answer = model.invoke("2 + 2 =", model="small")

    assert {"scorer": 0.8} == model.explain(answer).source_to_score
    assert (1, 0) == (judge.spent.asked, judge.spent.unpriced)
    assert judge.spent.cost_usd > 0.0 < judge.spent.tokens_in
    (told,) = large.seen
    assert "2 + 2 =" in told.prompt


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_the_chain_hears_nothing_of_its_judge(way: str) -> None:
    """No callback of the chain gets its run, and no reader its words."""
    heard = Heard()
    verdict = ScriptedChatModel(says="Well. SCORE: 8")
    judge = LLMJudge(ask=ask_of(verdict))
    chain = RoutedChatModel(models={"a": ScriptedChatModel(says="four")}, scorer=judge)
    chain_run = chain | StrOutputParser()
    config: Any = {"callbacks": [heard]}

    if way == "invoke":
        said = chain_run.invoke("2 + 2 =", config)
    elif way == "ainvoke":
        said = await chain_run.ainvoke("2 + 2 =", config)
    elif way == "stream":
        said = "".join(chain_run.stream("2 + 2 =", config))
    else:
        said = "".join([piece async for piece in chain_run.astream("2 + 2 =", config)])

    assert ("four", 1) == (said, verdict.calls)
    assert "SCORE" not in "".join(heard.tokens)
    assert 1 == heard.models  # its arm


def test_what_answers_with_a_message_or_a_text_may_be_asked() -> None:
    """Completion models, and whatever stands around a model."""
    for model in (
        FakeListChatModel(responses=["SCORE: 5"]),
        FakeListChatModel(responses=["SCORE: 5"]).with_retry(),
        FakeListLLM(responses=["SCORE: 5"]),
        FakeListChatModel(responses=["SCORE: 5"]) | StrOutputParser(),
    ):
        answer = ask_of(model)("?")
        assert "SCORE: 5" == (answer if isinstance(answer, str) else answer.text)


def test_what_is_no_model_is_refused() -> None:
    """When the judge is made; an answer that is none is the judge's failure."""
    wrong: Any = "gpt-4o-mini"
    with pytest.raises(ConfigError, match="give a chat model to ask; this is str"):
        ask_of(wrong)
    odd: Any = RunnableLambda(lambda _: 7)
    with pytest.raises(TypeError, match="answered with int"):
        ask_of(odd)("?")
