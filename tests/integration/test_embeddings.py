"""`POST /v1/embeddings` with OpenAI's own SDK as the client."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from api.embeddings.server import FOR_EACH_SLOT, WAITING_MOST, open_embedders
from fleet.catalogue import Catalogue, Model
from fleet.errors import QueueFull
from tests.conftest import FakeLlama
from tests.fakes.handle import Fake
from tests.fakes.vectors import LENGTH, vector
from tests.integration.conftest import MODEL
from tests.stack import Stack
from tests.support import until, wait_until

CONFIG = """
[limits]
inputs = 4

[api]
aliases = {{ "text-embedding-3-small" = "embed" }}

[[models]]
name = "embed"
task = "embedding"
url = "{url}"
slots = 2
context = 512
timeouts = {{ first_token_s = 1, connect_s = 1 }}

[[models]]
name = "deaf"
task = "embedding"
url = "{deaf}"
"""


@dataclass
class Running:
    """An API, and the servers that it asks; no router and no worker."""

    stack: Stack
    embed: Fake
    #: A llama-server that was started without `--embeddings`.
    deaf: Fake


@pytest.fixture(scope="module")
def started(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("embeddings")
    embed = Fake("llama_server", folder / "e.log", "--slots=2", "--embeddings", "--ctx-size=512")
    deaf = Fake("llama_server", folder / "deaf.log")
    embed.start()
    deaf.start()
    config = CONFIG.format(url=embed.url, deaf=deaf.url)
    config += MODEL.format(name="fast", url="http://127.0.0.1:1", slots=1, context=4096)
    stack = Stack(folder, valkey.rpartition("/")[0] + "/6", config)
    stack.start_api()
    wait_until(lambda: listens(stack), "the API listens", 30)
    yield Running(stack, embed, deaf)
    stack.stop()
    embed.close()
    deaf.close()


def listens(stack: Stack) -> bool:
    try:
        return stack.client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def running(started: Running) -> Running:
    if started.embed.process is None:
        started.embed.start()
    started.embed.control()
    return started


@pytest.fixture
def client(running: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{running.stack.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("how", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
def test_texts_become_vectors(client: OpenAI, how: Any) -> None:
    reply = client.embeddings.create(model="embed", input=["one", "two words"], **how)
    expected = [vector("one"), vector("two words")]
    given = [one.embedding for one in reply.data]
    if how.get("encoding_format") == "base64":
        assert all(isinstance(one, str) for one in given)
    else:
        assert given == expected
    assert ([one.index for one in reply.data], reply.model) == ([0, 1], "embed")
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens) == (3, 3)


def test_embedding_models_are_listed_and_answer_to_an_alias(client: OpenAI) -> None:
    listed = {model.id: model.model_dump() for model in client.models.list()}
    assert listed["embed"]["capabilities"]["embeddings"]
    assert not listed["embed"]["capabilities"]["chat"]
    assert not listed["fast"]["capabilities"]["embeddings"]
    assert listed["text-embedding-3-small"]["alias_of"] == "embed"
    assert client.models.retrieve("embed").model_dump() == listed["embed"]
    reply = client.embeddings.create(model="text-embedding-3-small", input="one")
    assert (reply.model, reply.data[0].embedding) == ("embed", vector("one"))
    with pytest.raises(openai.NotFoundError, match="does not chat"):
        client.chat.completions.create(model="embed", messages=[{"role": "user", "content": "?"}])


async def test_the_asynchronous_sdk_is_served_as_well(running: Running) -> None:
    async with AsyncOpenAI(
        base_url=f"{running.stack.url}/v1", api_key="none", max_retries=0
    ) as client:
        reply = await client.embeddings.create(model="embed", input="one", user="u")
        assert reply.data[0].embedding == vector("one")
        tokens = await client.embeddings.create(model="embed", input=[[1, 2], [3]])
        assert [one.embedding for one in tokens.data] == [vector("1 2"), vector("3")]


def test_the_length_of_the_vectors_is_what_it_is(client: OpenAI) -> None:
    assert client.embeddings.create(model="embed", input="a", dimensions=LENGTH).data
    with pytest.raises(openai.BadRequestError, match=f"have {LENGTH}; leave it out"):
        client.embeddings.create(model="embed", input="a", dimensions=3)


@pytest.mark.parametrize(
    ("fields", "status", "code", "told"),
    [
        ({"input": ""}, 400, "invalid_request", "input 0 is empty"),
        ({"input": ["a"] * 5}, 400, "invalid_request", "at most 4"),
        ({"input": "word " * 600}, 400, "invalid_request", "600 tokens, the model's context 512"),
        ({"encoding_format": "hex"}, 400, "invalid_request", "base64"),
        ({"model": "gpt-9"}, 404, "model_not_found", "there are: embed, deaf"),
        ({"model": "fast"}, 400, "invalid_request", "'fast' chats"),
        ({"model": "auto"}, 400, "invalid_request", "say which one embeds"),
        ({"model": "deaf"}, 502, "server_failed", "--embeddings"),
        ({"input": "[[fake fail=400]]"}, 400, "refused", "told to fail"),
        ({"input": "[[fake fail=500]]"}, 502, "server_failed", "told to fail"),
        ({"input": "[[fake loading=1]]"}, 503, "server_loading", "Loading"),
        ({"input": "[[fake refuse=1]]"}, 503, "server_unreachable", "does not answer"),
        ({"input": "[[fake malformed=0]]"}, 502, "server_failed", "embeddings that are none"),
        ({"input": "[[fake stall=0]]"}, 504, "server_stalled", "too long"),
    ],
)
def test_what_goes_wrong_has_a_name(
    client: OpenAI, fields: Any, status: int, code: str, told: str
) -> None:
    with pytest.raises(openai.APIStatusError) as failed:
        client.embeddings.create(**{"model": "embed", "input": "one", **fields})
    assert (failed.value.status_code, failed.value.code) == (status, code)
    assert told in failed.value.message


def test_a_server_that_is_gone_is_told_and_seen(running: Running, client: OpenAI) -> None:
    def health() -> Any:
        return running.stack.client.get("/health").json()

    wait_until(lambda: health()["embedding"]["embed"]["server"] == "ok", "health sees the server")
    assert health()["embedding"]["embed"] == {
        **{"server": "ok", "slots": 2, "active": 0, "waiting": 0},
    }
    assert "embed" not in health()["models"]
    running.embed.stop()
    with pytest.raises(openai.InternalServerError) as failed:
        client.embeddings.create(model="embed", input="one")
    assert (failed.value.status_code, failed.value.code) == (503, "server_unreachable")
    wait_until(lambda: health()["embedding"]["embed"]["server"] == "down", "health sees it gone")
    assert (
        "The server of `embed` does not answer: start it, or correct the model's url."
        in health()["problems"]
    )


async def test_a_server_is_not_asked_more_than_it_can_take(running: Running) -> None:
    async with AsyncOpenAI(
        base_url=f"{running.stack.url}/v1", api_key="none", max_retries=0
    ) as client:

        async def one(number: int) -> list[float]:
            text = f"n{number} [[fake ttft=50]]"
            return (await client.embeddings.create(model="embed", input=text)).data[0].embedding

        found = await asyncio.gather(*(one(number) for number in range(20)))
    assert found == [vector(f"n{number} [[fake ttft=50]]") for number in range(20)]
    assert running.embed.stats()["peak_queued"] <= 2 * FOR_EACH_SLOT


async def test_who_leaves_gives_up_its_turn(running: Running) -> None:
    before = running.embed.stats()["client_gone"]
    async with httpx.AsyncClient(base_url=running.stack.url, trust_env=False) as web:
        body = {"model": "embed", "input": "[[fake ttft=900]]"}
        asked = asyncio.create_task(web.post("/v1/embeddings", json=body))
        await until(lambda: running.embed.stats()["active"] == 1, "the server has it")
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    await until(lambda: running.embed.stats()["client_gone"] > before, "the server hears of it")
    await until(lambda: active(running) == 0, "its turn is free")


def active(running: Running) -> int:
    report = running.stack.client.get("/health").json()["embedding"]["embed"]
    return int(report["active"])


async def test_when_too_many_wait_the_next_one_is_told(fake_llama: FakeLlama) -> None:
    fake = fake_llama(embeddings=True)
    model = Model.model_validate({"name": "embed", "task": "embedding", "url": fake.url})
    async with open_embedders(Catalogue((model,))) as embedders:
        embed = embedders["embed"]
        asks = (embed.embed(["[[fake stall=0]]"]) for _ in range(FOR_EACH_SLOT + WAITING_MOST))
        tasks = [asyncio.create_task(ask) for ask in asks]
        full = (FOR_EACH_SLOT, WAITING_MOST)
        await until(lambda: (embed.active, embed.waiting) == full, "as many wait as may")
        with pytest.raises(QueueFull, match="wait for 'embed' already"):
            await embed.embed(["one too many"])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (embed.active, embed.waiting) == (0, 0)
        assert (await embed.embed(["and again"])).dimensions == LENGTH


def test_a_model_that_embeds_takes_no_jobs(running: Running) -> None:
    reply = running.stack.client.post("/v1/jobs", json={"message": "Hi", "model": "embed"})
    assert reply.status_code == 404
    assert "`POST /v1/embeddings` asks it" in reply.json()["error"]["message"]


@pytest.mark.parametrize("command", [("cli.main", "worker"), ("celery", "-A", "workers", "worker")])
def test_a_model_that_embeds_needs_no_worker(running: Running, command: tuple[str, ...]) -> None:
    stack = running.stack
    name = f"refused-{command[0]}"
    named = ["embed"] if command[0] == "cli.main" else ["-Q", "embed"]
    process = stack.start(name, *command, *named)
    assert process.wait(30) != 0
    said = " ".join((stack.folder / f"{name}.log").read_text().split())
    assert ("needs no worker" in said) or ("give one -Q of: fast" in said)
