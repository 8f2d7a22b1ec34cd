"""Contract suites and doubles, shipped so that a policy, a store or a port of yours can be checked.

from pickllm.testing import check_policy
def test_my_policy():
    check_policy(MyPolicy())

caches.py       check_cache, and requests and answers to try one with
contracts.py    check_policy, check_store, …: one assertion after another, each with its sentence
fakes.py        ScriptedPort, a port whose arms say what you tell them; small builders
"""

from pickllm.testing.caches import check_cache, kept_answer, plain_request
from pickllm.testing.contracts import (
    check_adaptation,
    check_journal,
    check_policy,
    check_store,
)
from pickllm.testing.fakes import Script, ScriptedPort, decision, experience, situation

__all__ = [
    "Script",
    "ScriptedPort",
    "check_adaptation",
    "check_cache",
    "check_journal",
    "check_policy",
    "check_store",
    "decision",
    "experience",
    "kept_answer",
    "plain_request",
    "situation",
]
