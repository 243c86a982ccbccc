"""Classifiers one after the other, and heads that cannot be used."""

import base64
import json
from pathlib import Path

import pytest

from fleet.errors import ConfigError
from router.cascade import Cascade, Failures
from router.conversation import Conversation
from router.examples import DATA
from router.keywords import KeywordClassifier
from router.verdict import Verdict


class Model:
    """Knows no ask for Claude, as the `llm` classifier."""

    name = "llm"
    version = "1"

    def classify(self, conversation: Conversation) -> Verdict:
        return Verdict("large", 0.7, ("a model was asked",), self.name, {"large": 0.7})


@pytest.mark.parametrize(
    ("text", "route"),
    [("Use Claude for this: what is a monad?", "claude"), ("Who was Claude Monet?", "large")],
)
def test_an_ask_for_claude_is_heard_before_a_model_that_knows_none(text: str, route: str) -> None:
    cascade = Cascade([Model()], Failures(), asks=KeywordClassifier())
    assert cascade.classify(Conversation.saying(text)).route == route


@pytest.mark.parametrize("layer", ["routes", "domains", "asks"])
def test_a_head_that_holds_no_numbers_is_refused(layer: str, tmp_path: Path) -> None:
    head = pytest.importorskip("router.head")
    raw = json.loads((DATA / "head-e5.json").read_text())
    weights = bytearray(base64.b64decode(raw[layer]["weights"]))
    weights[:2] = b"\x00\x7e"  # not a number, in two bytes
    raw[layer]["weights"] = base64.b64encode(weights).decode()
    file = tmp_path / "head.json"
    file.write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match="not a head that can be used"):
        head.Head.read(file)


class Quoting:
    """Raises what it was given to read."""

    name = "embedding"
    version = "1"

    def classify(self, conversation: Conversation) -> Verdict:
        raise ValueError(f"cannot read {conversation.last!r}")


def test_what_a_classifier_raises_tells_nobody_the_words(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    cascade = Cascade([Quoting()], failures)
    verdict = cascade.classify(Conversation.saying("hello, my secret is marker-4712"))
    assert "embedding failed: ValueError" in verdict.reasons
    assert failures.as_dict() == {"embedding": "ValueError"}
    assert "marker" not in caplog.text
