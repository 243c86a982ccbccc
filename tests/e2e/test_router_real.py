"""A real llama-server helps the router: it counts tokens, and gives its opinion."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.catalogue import Model
from fleet.errors import ModelError
from router.conversation import Conversation
from router.counting import Counter
from router.llm import DESCRIPTIONS, LlmClassifier
from router.signals import read
from tests.real import llama_server
from tests.support import free_port

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    folder: Path = tmp_path_factory.mktemp("router")
    with llama_server(folder) as url:
        yield Model.model_validate({"name": "fast", "url": url, "context": 512})


@pytest.mark.parametrize(
    "words", ["hello there, how are you? " * 20, "天气怎么样" * 40, "def f(x):\n" * 30]
)
async def test_the_servers_own_count_replaces_the_estimate(model: Model, words: str) -> None:
    request = {"messages": [{"role": "user", "content": words}]}
    counter = Counter()
    counted = await counter.count([model], request)
    twice = await counter.count([model], {"messages": [{"role": "user", "content": words * 2}]})
    await counter.aclose()
    signals = read("auto", request)
    assert signals.tokens / 4 < counted["fast"] < signals.tokens * 4
    assert 1.5 * counted["fast"] < twice["fast"] < 2 * counted["fast"]


async def test_a_server_that_is_away_counts_nothing() -> None:
    away = Model.model_validate({"name": "away", "url": f"http://127.0.0.1:{free_port()}"})
    counter = Counter()
    assert await counter.count([away], {"messages": []}) == {}
    await counter.aclose()


def test_a_small_model_answers_with_a_route_because_the_schema_holds_it_to_one(
    model: Model,
) -> None:
    classifier = LlmClassifier(model, DESCRIPTIONS, timeout_s=30)
    for query in ("What is the weather in Paris?", "", "Prove it.", "天气"):
        verdict = classifier.classify(Conversation.saying(query))
        assert verdict.route in DESCRIPTIONS
        assert verdict.scores[verdict.route] == verdict.confidence
    classifier.close()


def test_a_model_that_does_not_answer_in_time_is_a_fault_of_the_model(model: Model) -> None:
    classifier = LlmClassifier(model, DESCRIPTIONS, timeout_s=0.001)
    with pytest.raises(ModelError, match="gave no route"):
        classifier.classify(Conversation.saying("hello"))
    classifier.close()
