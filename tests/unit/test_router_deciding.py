"""From a job to a decision, where the classifier does not do its part."""

import time
from typing import Any

import pytest

from fleet.job import Job, Status
from fleet.settings import Settings
from router import deciding
from router.cascade import Cascade
from router.classifiers import Classifiers
from router.conversation import Conversation
from router.deciding import Decider
from router.verdict import Verdict

SETTINGS = Settings.model_validate(
    {
        "models": [
            {"name": name, "url": "http://127.0.0.1:1"} for name in ("fast", "tool", "large")
        ],
        "router": {"classifier": "keywords", "llm_timeout_s": 0.01},
    }
)


def job(text: str, **fields: Any) -> Job:
    request = {"messages": [{"role": "user", "content": text}]}
    return Job("job_" + "0" * 32, Status.QUEUED, request, caller="local", **fields)


class Hanging:
    name = "hanging"
    version = "1"

    def classify(self, conversation: Conversation) -> Verdict:
        time.sleep(0.5)
        raise AssertionError("nobody waits so long")


async def test_a_classifier_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "PATIENCE_S", 0.05)
    classifiers = Classifiers(SETTINGS)
    slow = Cascade([Hanging()], classifiers.failures)
    monkeypatch.setattr(classifiers, "chain", lambda *_: slow)
    decider = Decider(SETTINGS, classifiers)
    decision = await decider.decide(job("Weather in Paris"))
    assert (decision.route, decision.classifier) == ("tool", "keywords")
    assert decision.reasons[-1] == "the classifier failed: it gave no verdict in time"
    assert classifiers.report()["failed"] == {"keywords": "it gave no verdict in time"}
    await decider.aclose()


async def test_a_named_model_needs_no_verdict() -> None:
    decider = Decider(SETTINGS, Classifiers(SETTINGS))
    decision = await decider.decide(job("Weather in Paris", asked_model="large"))
    assert (decision.route, decision.classifier, decision.scores) == ("large", "rules", {})
    await decider.aclose()


async def test_a_job_stays_with_the_models_that_its_key_allows() -> None:
    decider = Decider(SETTINGS, Classifiers(SETTINGS))
    decision = await decider.decide(job("Weather in Paris", allowed=("fast", "large")))
    assert (decision.route, sorted(decision.plan)) == ("tool", ["fast", "large"])
    await decider.aclose()


async def test_only_what_may_be_remembered_is_looked_up() -> None:
    decider = Decider(SETTINGS, Classifiers(SETTINGS))
    assert not decider.remembers(job("hello"))
    assert decider.remembers(job("hello", conversation_id="c"))
    assert not decider.remembers(job("hello", conversation_id="c", asked_model="fast"))
    await decider.aclose()
