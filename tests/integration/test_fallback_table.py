"""docs/fallback.md, asserted row by row, and what each API shows of an answer that broke off."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx
import openai
import pytest

from fleet.callers import Caller
from tests.fakes.handle import Fake
from tests.fallback_table import FAULTS, SERVERS, Row, rows
from tests.integration.conftest import client_of
from tests.stack import Stack
from tests.support import Valkey

#: One round, short timeouts; whatever else would come between a fault and its reader is off.
CONFIG = """
[fallback]
rounds = 1
[breaker]
enabled = false
"""
LOCAL = """
[[models]]
name = "{name}"
url = "{url}"
slots = 64
context = {context}
timeouts = {{ first_token_s = 2, between_tokens_s = 1 }}
"""
EXTERNAL = """
[[models]]
name = "claude"
kind = "anthropic"
url = "{claude}"
slots = 64
calls_per_day = 0
timeouts = {{ first_token_s = 2, between_tokens_s = 1 }}

[[models]]
name = "gpt"
kind = "openai"
url = "{gpt}/v1"
model = "gpt-4o"
slots = 64
calls_per_day = 0
price = {{ input = 0, output = 0 }}
timeouts = {{ first_token_s = 2, between_tokens_s = 1 }}
"""
#: Models of the fakes `fast` and `spare` whose workers have another policy.
POLICIES = {"stern": "fail", "steady": "continue"}
KEYS = {"claude": {"ANTHROPIC_API_KEY": "sk-test"}, "gpt": {"OPENAI_API_KEY": "sk-test"}}
#: What the faulty server would say, and what `spare` says.
WELL = " w0 w1 w2 w3"
SPARE = " w0 w1 w2"
#: Rows under way at once.
TOGETHER = 24
DEADLINE_S = 20.0
#: For whom waits for a model that loads.
SOON_S = 3.0


@dataclass
class Faulty:
    """A fleet whose servers fail as a prompt tells them to, and a key for each plan."""

    stack: Stack
    fakes: dict[str, Fake]
    keys: dict[tuple[str, ...], httpx.Client]

    def key(self, *models: str) -> str:
        """A key that may use these models alone."""
        if models not in self.keys:
            name = "-".join(models)
            self.keys[models] = client_of(self.stack, Caller(name, models=models))
        return self.keys[models].headers["Authorization"].removeprefix("Bearer ")


@dataclass
class Seen:
    """What a caller sees of one post."""

    status: int
    body: dict[str, Any]
    job: dict[str, Any]
    kinds: list[str]

    @property
    def text(self) -> str:
        """The whole answer."""
        return self.body["choices"][0]["message"]["content"] or ""


#: Of each row: what is seen where its model is alone, and with a next one.
All = dict[str, list[Seen]]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    folder = tmp_path_factory.mktemp("faulty")
    valkey = Valkey(folder)
    valkey.start()
    programs = {"fast": "llama_server", "spare": "llama_server", "gpt": "llama_server"}
    fakes = {
        name: Fake(program, folder / f"{name}.log", "--slots=64", f"--name={name}")
        for name, program in {**programs, "claude": "anthropic_api"}.items()
    }
    for fake in fakes.values():
        fake.start()
    servers = {"fast": "fast", "spare": "spare", "stern": "fast", "steady": "spare"}
    local = [
        LOCAL.format(name=name, url=fakes[of].url, context=4096 if of == "fast" else 2_000_000)
        for name, of in servers.items()
    ]
    external = EXTERNAL.format(claude=fakes["claude"].url, gpt=fakes["gpt"].url)
    on = {f"FLEET_MODELS__{name.upper()}__ENABLED": "true" for name in KEYS}
    stack = Stack(folder, valkey.url, CONFIG + "".join(local) + external, **on)
    stack.start_api()
    stack.start_router()
    for name in (*servers, *KEYS):
        policy = {"FLEET_FALLBACK__AFTER_FIRST_TOKEN": POLICIES.get(name, "restart")}
        stack.start_worker(name, **policy, **KEYS.get(name, {}))
    stack.wait_ready(*servers, *KEYS)  # before there are keys, anybody is told
    fleet = Faulty(stack, fakes, {})
    yield fleet
    for client in fleet.keys.values():
        client.close()
    stack.stop()
    for fake in fakes.values():
        fake.close()
    valkey.stop()


def told(model: str, mark: str, words: str = WELL) -> str:
    """A prompt that tells a server how to fail, and `spare` how much to say."""
    return f"Hi [[fake at={model} n={words.count('w')} {mark}]] [[fake at=spare n=3]]"


@pytest.fixture(scope="module")
def seen(faulty: Faulty) -> All:
    """What callers see of every row: alone, and with a next model. Rows disturb each other as
    little as callers do; only whom nobody can reach is stopped, when the others are through.
    """
    away = [row for row in rows() if not FAULTS[row.fault]]
    there = [row for row in rows() if FAULTS[row.fault]]
    keys = {
        row.named: [faulty.key(SERVERS[row.server]), faulty.key(SERVERS[row.server], "spare")]
        for row in rows()
    }
    found = asyncio.run(_ask_all(faulty.stack.url, there, keys))
    for model in SERVERS.values():
        faulty.fakes[model].stop()
    found |= asyncio.run(_ask_all(faulty.stack.url, away, keys))
    for model in SERVERS.values():
        faulty.fakes[model].start()
    return found


async def _ask_all(url: str, some: Sequence[Row], keys: dict[str, list[str]]) -> All:
    turns = asyncio.Semaphore(TOGETHER)
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:

        async def both(row: Row) -> list[Seen]:
            async with turns:
                return [await _ask(client, row, key) for key in keys[row.named]]

        found = await asyncio.gather(*map(both, some))
    return {row.named: ends for row, ends in zip(some, found, strict=True)}


async def _ask(client: httpx.AsyncClient, row: Row, key: str) -> Seen:
    model, head = SERVERS[row.server], {"Authorization": f"Bearer {key}"}
    said = {"role": "user", "content": told(model, FAULTS[row.fault])}
    soon = "loading" in row.fault
    body = {"model": model, "messages": [said], "deadline_s": SOON_S if soon else DEADLINE_S}
    reply = await client.post("/v1/chat/completions", json=body, headers=head)
    place = f"/v1/jobs/{reply.headers['x-fleet-job-id']}"
    job = (await client.get(place, headers=head)).json()
    events = (await client.get(f"{place}/events", headers=head)).text
    kinds = [line[7:] for line in events.splitlines() if line.startswith("event: ")]
    return Seen(reply.status_code, reply.json(), job, kinds)


def test_the_table_has_every_fault_at_every_server_that_can_have_it() -> None:
    told_of = [(row.fault, row.server) for row in rows()]
    assert len(set(told_of)) == len(told_of)
    only_here = {"breaks off, and has kept the answer", "503, loading its model"}
    assert set(told_of) == {
        (fault, server)
        for fault in FAULTS
        for server in SERVERS
        if fault not in only_here or server == "llama-server"
    }


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.named)
def test_a_caller_sees_of_a_fault_what_the_document_says(seen: All, row: Row) -> None:
    alone, with_next = seen[row.named]
    model = SERVERS[row.server]
    _assert_end(alone, row.alone, model, row)
    _assert_end(with_next, row.with_next, model, row)
    for one in (alone, with_next):
        codes = {failure["code"] for failure in one.job["tried"]}
        assert codes == ({row.code} if row.code else set())
        assert {failure["model"] for failure in one.job["tried"]} <= {model}
        assert all(failure["at"] > one.job["created_at"] for failure in one.job["tried"])
    assert "restarted" not in alone.kinds
    assert with_next.kinds.count("restarted") == row.restarts


def _assert_end(one: Seen, end: str, model: str, row: Row) -> None:
    if end[0].isdigit():
        status, code = end.split()
        assert (one.status, one.body["error"]["code"]) == (int(status), code), one.body
        assert one.job["status"] in ("failed", "expired")
        assert "choices" not in one.body
        return
    by = model if end in ("answers", "itself") else end
    text = SPARE if by == "spare" else "" if "empty answer" in row.fault else WELL
    assert one.status == 200, one.body
    assert (one.job["status"], one.job["model"], one.text) == ("completed", by, text)
    ended = [attempt["ended"] for attempt in one.job["attempts"]]
    assert ended == (["failed", "completed"] if by == "spare" else ["completed"])


@dataclass
class Streamed:
    """A stream of an API to its end: names and data of its events."""

    events: list[tuple[str, dict[str, Any]]]
    done: bool

    @property
    def kinds(self) -> list[str]:
        """Names of the events."""
        return [kind for kind, _ in self.events]


CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"


def streamed(faulty: Faulty, path: str, text: str, *plan: str) -> Streamed:
    body: dict[str, Any] = {"model": plan[0], "stream": True}
    if path == RESPONSES:
        body |= {"input": text}
    else:
        body |= {"messages": [{"role": "user", "content": text}], "max_tokens": 100}
    head = {"Authorization": f"Bearer {faulty.key(*plan)}"}
    with httpx.Client(base_url=faulty.stack.url, timeout=30, trust_env=False) as client:
        lines = client.post(path, json=body, headers=head).text.splitlines()
    data = [line[6:] for line in lines if line.startswith("data: ")]
    frames = [json.loads(each) for each in data if each != "[DONE]"]
    kinds = [frame.get("type", "error" if "error" in frame else "chunk") for frame in frames]
    return Streamed(list(zip(kinds, frames, strict=True)), "[DONE]" in data)


def chat_text(seen: Streamed) -> str:
    chunks = (frame for kind, frame in seen.events if kind == "chunk")
    deltas = (choice["delta"] for chunk in chunks for choice in chunk["choices"])
    return "".join(delta.get("content") or "" for delta in deltas)


def messages_text(seen: Streamed) -> str:
    deltas = (frame["delta"] for kind, frame in seen.events if kind == "content_block_delta")
    return "".join(delta.get("text", "") for delta in deltas)


#: A break after two words, at a server that keeps nothing.
BREAK = "cut=2 old=1"
DIFFERS = f"marked=1 {BREAK}"


def test_fail_keeps_the_text_and_every_api_says_that_it_is_none(faulty: Faulty) -> None:
    text = told("fast", BREAK)
    chat = streamed(faulty, CHAT, text, "stern", "spare")
    assert (chat_text(chat), chat.done, chat.kinds[-1]) == (" w0 w1", False, "error")
    assert chat.events[-1][1]["error"]["code"] == "stream_cut"

    said = streamed(faulty, MESSAGES, text, "stern", "spare")
    assert (messages_text(said), said.kinds[-1]) == (" w0 w1", "error")
    assert "message_stop" not in said.kinds

    response = streamed(faulty, RESPONSES, text, "stern", "spare")
    assert response.kinds[-1] == "response.failed"
    told_last = response.events[-1][1]["response"]
    [item] = told_last["output"]
    assert (item["status"], item["content"][0]["text"]) == ("incomplete", " w0 w1")
    assert told_last["error"]["fleet_code"] == "stream_cut"

    key = {"Authorization": f"Bearer {faulty.key('stern', 'spare')}"}
    with httpx.Client(
        base_url=faulty.stack.url, headers=key, trust_env=False, timeout=30
    ) as client:
        posted = client.post("/v1/jobs", json={"message": text, "model": "stern"}).json()
        job = client.get(f"/v1/jobs/{posted['id']}", params={"wait": 20}).json()
        whole = {"model": "stern", "messages": [{"role": "user", "content": text}]}
        answers = [client.post(CHAT, json=whole), client.post(MESSAGES, json=whole | MANY)]
    assert (job["status"], job["answer"]["content"]) == ("failed", " w0 w1")
    assert [t["code"] for t in job["tried"]] == ["stream_cut"]
    assert [answer.status_code for answer in answers] == [502, 502]
    assert all("w1" not in answer.text for answer in answers)


MANY = {"max_tokens": 100}


def test_restart_is_seen_or_swallowed_and_never_joined(faulty: Faulty) -> None:
    alike, differs = told("fast", BREAK), told("fast", DIFFERS)
    chat = streamed(faulty, CHAT, alike, "fast", "spare")
    assert (chat_text(chat), chat.done) == (SPARE, True)
    chat = streamed(faulty, CHAT, differs, "fast", "spare")
    assert (chat.done, chat.kinds[-1]) == (False, "error")
    assert chat.events[-1][1]["error"]["code"] == "answer_restarted"
    assert "w2" not in chat_text(chat)

    said = streamed(faulty, MESSAGES, alike, "fast", "spare")
    assert (messages_text(said), said.kinds[-1]) == (SPARE, "message_stop")
    said = streamed(faulty, MESSAGES, differs, "fast", "spare")
    assert said.kinds[-1] == "error"
    assert "message_stop" not in said.kinds
    assert "w2" not in messages_text(said)

    response = streamed(faulty, RESPONSES, differs, "fast", "spare")
    ended = [f["item"] for kind, f in response.events if kind == "response.output_item.done"]
    assert [item["status"] for item in ended] == ["incomplete", "completed"]
    [item] = response.events[-1][1]["response"]["output"]
    assert (response.kinds[-1], item["content"][0]["text"]) == ("response.completed", SPARE)


def test_continue_is_one_text(faulty: Faulty) -> None:
    text = "Hi [[fake at=fast n=4 cut=2 old=1]] [[fake at=spare n=4]]"
    chat = streamed(faulty, CHAT, text, "fast", "steady")
    assert (chat_text(chat), chat.done) == (WELL, True)
    said = streamed(faulty, MESSAGES, text, "fast", "steady")
    assert (messages_text(said), said.kinds[-1]) == (WELL, "message_stop")
    response = streamed(faulty, RESPONSES, text, "fast", "steady")
    [item] = response.events[-1][1]["response"]["output"]
    assert item["content"][0]["text"] == WELL


def test_the_last_word_is_read_by_machines_through_each_sdk(faulty: Faulty) -> None:
    text, key = told("fast", "fail=500"), faulty.key("fast")
    tried = [{"model": "fast", "code": "server_failed", "message": "told to fail", "tries": 1}]
    base = faulty.stack.url
    with openai.OpenAI(api_key=key, base_url=f"{base}/v1", max_retries=0) as client:
        with pytest.raises(openai.InternalServerError) as chat:
            client.chat.completions.create(
                model="fast", messages=[{"role": "user", "content": text}]
            )
        *_, last = client.responses.create(model="fast", input=text, stream=True)
    assert isinstance(chat.value.body, dict)
    assert chat.value.body["tried"] == tried
    assert chat.value.response.headers["Retry-After"] == "5"
    assert "look at the log of the server of 'fast'" in str(chat.value)
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.to_dict()["tried"] == tried
    with (
        anthropic.Anthropic(api_key=key, base_url=base, max_retries=0) as claude,
        pytest.raises(anthropic.InternalServerError) as refused,
    ):
        claude.messages.create(
            model="fast", max_tokens=9, messages=[{"role": "user", "content": text}]
        )
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["error"]["tried"] == tried


def test_no_time_is_named_where_time_does_not_help(faulty: Faulty) -> None:
    head = {"Authorization": f"Bearer {faulty.key('claude')}"}
    said = {"role": "user", "content": told("claude", "fail=401")}
    with httpx.Client(base_url=faulty.stack.url, trust_env=False, timeout=30) as client:
        reply = client.post(CHAT, json={"model": "claude", "messages": [said]}, headers=head)
    assert (reply.status_code, reply.headers.get("Retry-After")) == (503, None)
    assert "a valid ANTHROPIC_API_KEY" in reply.json()["error"]["message"]
