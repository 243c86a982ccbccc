"""Requests that nobody thought of, made from our own OpenAPI document by schemathesis."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import sampled_from
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from tests.fakes.handle import Fake
from tests.integration.conftest import MODEL
from tests.stack import Stack
from tests.support import Valkey

KEY = "fuzz-key"
#: Requests for each operation. The same ones in every run.
EXAMPLES = 15
#: Three in four ask for something that there is.
LIKELY = sampled_from((True, True, True, False))
JOB = {"message": "Say hello", "messages": [], "model": "auto", "conversation_id": "c"}
COMPLETION = {"messages": [{"role": "user", "content": "Hi"}], "model": "auto"}
MESSAGE = {**COMPLETION, "max_tokens": 5, "stream": False}
RESPONSE = {"input": "Hi", "model": "auto", "background": True}
#: What makes a body answerable. The document cannot demand it: one of two fields, a model of
#: the catalogue, a bound of [limits], a tool that can be called.
ANSWERABLE: dict[str, dict[str, Any]] = {
    "/v1/jobs": JOB,
    "/api/chat/stream": JOB,
    "/v1/jobs/{job_id}/feedback": {"route": "fast"},
    "/v1/chat/completions": COMPLETION,
    "/v1/responses": RESPONSE,
    "/v1/messages": MESSAGE,
    "/v1/messages/count_tokens": MESSAGE,
    "/v1/embeddings": {"input": "Hi", "model": "auto", "dimensions": None},
}
#: What an id in a path is the id of, by how the path begins.
MAKERS = {"/v1/responses": RESPONSE, "/v1/chat/completions": COMPLETION, "/v1/jobs": JOB}
#: Bounded by [limits] and by one another.
TIMES = ("deadline_s", "start_timeout_s")
#: No answer may take longer: the jobs' own are short, and nobody else holds a line open.
PATIENCE_S = 10.0
#: A schema cannot say that a body needs one of two fields, or what [limits] says.
EXCLUDED = [schemathesis.checks.positive_data_acceptance]
CONFIG = """
[limits]
wait_s = 5
deadline_s = 5
body_bytes = 65536

[fallback]
rounds = 1
"""
EMBED = """
[[models]]
name = "embed"
task = "embedding"
url = "{url}"
"""


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A fleet of its own, with a key, so that the check for forgotten guards has one to forget."""
    folder = tmp_path_factory.mktemp("fuzz")
    valkey = Valkey(folder)
    valkey.start()
    fake = Fake("llama_server", folder / "fast.log", "--slots=8", "--name=fast", "--tokens=3")
    fake.start()
    embed = Fake("llama_server", folder / "embed.log", "--embeddings")
    embed.start()
    config = CONFIG + MODEL.format(name="fast", url=fake.url, slots=8, context=4096)
    config += EMBED.format(url=embed.url)
    stack = Stack(folder, valkey.url, config, FLEET_API__KEY=KEY)
    stack.client.headers["Authorization"] = f"Bearer {KEY}"
    stack.start_all("fast")
    yield stack
    stack.stop()
    fake.close()
    embed.close()
    valkey.stop()


AnyCase = Case[Any]
AnyOperation = APIOperation[Any, Any, Any, Any]


@dataclass
class Attack:
    """One operation, asked in many ways that the document allows, or in many that it does not."""

    operation: AnyOperation
    mode: GenerationMode
    stack: Stack
    #: Of something that is there: made-up ids are never found.
    known_id: str
    seen: Counter[int] = field(default_factory=Counter)

    def run(self) -> None:
        """Ask.

        Raises:
            FailureGroup: an answer is not one that the document knows.
        """

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(self.operation.as_strategy(generation_mode=self.mode), LIKELY)
        def one(case: AnyCase, likely: bool) -> None:
            if likely:
                self._make_likely(case)
            self._ask(case)

        # An operation without parameters cannot be asked in another way than it allows.
        with suppress(Unsatisfiable):
            one()

    def _make_likely(self, case: AnyCase) -> None:
        """What is asked for is there; a body that is allowed has something to say."""
        for name in case.path_parameters:
            case.path_parameters[name] = "auto" if name == "name" else self.known_id
        if self.mode.is_positive and isinstance(case.body, dict):
            case.body = case.body | ANSWERABLE.get(case.path, {})
            for name in TIMES:
                case.body.pop(name, None)

    def _ask(self, case: AnyCase) -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        answer = case.call(base_url=self.stack.url, headers=headers, timeout=PATIENCE_S)
        self.seen[answer.status_code] += 1
        case.validate_response(answer, excluded_checks=EXCLUDED)


def made(stack: Stack, path: str) -> str:
    """The id of something that has ended, which a path like this is about."""
    maker = next((start for start in MAKERS if path.startswith(start)), "/v1/jobs")
    reply = stack.client.post(maker, json=MAKERS[maker])
    assert reply.is_success, reply.text
    made_id: str = reply.json()["id"]
    stack.ended(made_id, timeout=5)
    return made_id


def test_whatever_is_sent_the_answer_is_one_that_the_document_knows(fuzzed: Stack) -> None:
    document = schemathesis.openapi.from_dict(fuzzed.client.get("/openapi.json").json())
    # The key comes with every request; the check for forgotten guards takes it away by itself.
    document.config.generation.update(with_security_parameters=False)
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    answered: dict[str, set[int]] = {}
    failures = []
    for operation in operations:
        for mode in GenerationMode:
            attack = Attack(operation, mode, fuzzed, made(fuzzed, operation.path))
            try:
                attack.run()
            except FailureGroup as failure:
                failures.append(failure)
            answered.setdefault(operation.label, set()).update(attack.seen)
    if failures:
        raise BaseExceptionGroup("answers that the document does not know", failures)
    assert len(answered) >= 20
    unanswered = {label: seen for label, seen in answered.items() if min(seen) >= 300}
    assert not unanswered, "nobody has seen what these say when all is well"
