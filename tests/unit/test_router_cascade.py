"""Who is asked, in which order, and what happens to those who fail."""

from dataclasses import dataclass, field

import pytest

from router.cascade import QUICK_SURE, Cascade, Failures
from router.conversation import Conversation
from router.verdict import Verdict

HELLO = Conversation.saying("hello there")


@dataclass
class Says:
    """A classifier that always says the same, or fails."""

    name: str
    route: str = "tool"
    confidence: float = 0.6
    broken: bool = False
    version: str = "1"
    asked: list[Conversation] = field(default_factory=list)

    def classify(self, conversation: Conversation) -> Verdict:
        self.asked.append(conversation)
        if self.broken:
            raise RuntimeError("out of order")
        scores = {self.route: self.confidence}
        return Verdict(self.route, self.confidence, (f"{self.name} says so",), self.name, scores)


def test_the_first_that_works_decides_and_the_failure_is_in_the_reasons() -> None:
    failures = Failures()
    chain = Cascade([Says("a", broken=True), Says("b", route="large")], failures)
    verdict = chain.classify(HELLO)
    assert (verdict.route, verdict.classifier) == ("large", "b")
    assert verdict.reasons == ("b says so", "a failed: RuntimeError")
    assert failures.as_dict() == {"a": "RuntimeError"}


def test_a_classifier_that_works_again_is_no_failure_any_more() -> None:
    failures, member = Failures(), Says("a", broken=True)
    chain = Cascade([member], failures)
    chain.classify(HELLO)
    member.broken = False
    chain.classify(HELLO)
    assert failures.as_dict() == {}


def test_when_all_fail_the_keywords_decide() -> None:
    verdict = Cascade([Says("a", broken=True)], Failures()).classify(
        Conversation.saying("Weather in Paris")
    )
    assert (verdict.route, verdict.classifier) == ("tool", "keywords")


@pytest.mark.parametrize(
    ("conversation", "confidence", "quick"),
    [
        (HELLO, QUICK_SURE, True),
        (HELLO, QUICK_SURE - 0.01, False),
        (Conversation.saying("hello", "and now?"), 1.0, False),
        (Conversation.saying("use Claude"), 1.0, False),
        (Conversation.saying("x"), 1.0, False),
    ],
)
def test_the_quick_one_decides_where_it_is_sure_of_a_first_turn(
    conversation: Conversation, confidence: float, quick: bool
) -> None:
    chain = Cascade([Says("slow")], Failures(), quick=Says("quick", confidence=confidence))
    assert chain.classify(conversation).classifier == ("quick" if quick else "slow")


def test_the_second_look_is_for_the_unsure_and_never_for_an_ask() -> None:
    second = Says("second", route="large", confidence=0.7)
    unsure = Cascade([Says("a", confidence=0.4)], Failures(), second=second, threshold=0.5)
    verdict = unsure.classify(HELLO)
    assert (verdict.route, verdict.classifier) == ("large", "second")
    assert verdict.reasons == ("second says so", "a says so")
    sure = Cascade([Says("a", confidence=0.5)], Failures(), second=second, threshold=0.5)
    assert sure.classify(HELLO).classifier == "a"
    ask = Says("a", route="claude", confidence=0.46)
    assert (
        Cascade([ask], Failures(), second=second, threshold=0.5).classify(HELLO).route == "claude"
    )
    assert len(second.asked) == 1


def test_a_second_look_that_fails_leaves_the_first_verdict() -> None:
    second = Says("second", broken=True)
    chain = Cascade([Says("a", confidence=0.4)], Failures(), second=second, threshold=0.5)
    verdict = chain.classify(HELLO)
    assert (verdict.route, verdict.classifier) == ("tool", "a")
    assert verdict.reasons[-1] == "second failed: RuntimeError"
