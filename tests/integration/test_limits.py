"""What a key may ask for in a minute: charged with the job, settled at its end."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from fleet.cache.finding import find
from fleet.cache.kept import Kept
from fleet.callers import Allowance, Caller, duration
from fleet.dispatch import Dispatcher
from fleet.errors import InvalidRequest, TooManyRequests, TooManyTokens
from fleet.events import Kind, event_data
from fleet.job import NewJob, Status, new_job_id
from fleet.ledger import Ledger, connect
from fleet.moves.posts import Created
from fleet.moves.routes import Routed
from fleet.names import bucket_key
from fleet.settings import Settings
from fleet.spend.book import Book
from fleet.spend.sheet import Hold, cap_of_caller
from tests.fakes.handle import Fake
from tests.integration.conftest import MODEL, client_of
from tests.stack import Stack
from tests.support import Valkey, decision, wait_until

MODELS: Any = ({"name": "fast", "url": "http://127.0.0.1:1"},)
MINUTE_MS = 60_000


@pytest_asyncio.fixture
async def ledger(redis_url: str) -> AsyncIterator[Ledger]:
    settings = Settings(redis_url=redis_url, models=MODELS)
    line = connect(settings)
    yield Ledger(line, settings, Dispatcher(settings))
    await line.aclose()


async def post(ledger: Ledger, job_id: str = "", **how: Any) -> Created:
    fields: dict[str, Any] = {"candidates": ["fast"], "deadline_s": 60, **how}
    return await ledger.create(NewJob(job_id or new_job_id(), {}, caller="alice", **fields))


async def moved(ledger: Ledger, what: str, by_ms: int) -> None:
    """Let so much time go by for a bucket."""
    await ledger.line.call("HINCRBY", bucket_key("alice"), f"{what}_at", -by_ms)


async def jobs_of(ledger: Ledger) -> int:
    return int(await ledger.line.call("ZCARD", "fleet:jobs:alice"))


async def running(ledger: Ledger, **how: Any) -> Any:
    """A job that a worker has."""
    assert not (await post(ledger, **how)).short
    job = await ledger.take(new_job_id())
    assert job
    assert await ledger.route(job, decision("fast")) is Routed.DONE
    claim = await ledger.claim("fast", "a", new_job_id())
    assert claim
    return claim.job


async def finish(ledger: Ledger, job: Any, usage: dict[str, Any], **fields: Any) -> bool:
    events = [Kind.COMPLETED, event_data(Kind.COMPLETED, finish_reason="stop")]
    told = {"usage": usage, **fields}
    return await ledger.finish(job, job.seq, Status.COMPLETED, events, told)


async def tokens_left(ledger: Ledger, tpm: int) -> int:
    return (await ledger.allowance(Caller("alice", tpm=tpm))).tokens


async def test_a_crowd_gets_as_many_jobs_as_its_minute_allows_and_not_one_more(
    ledger: Ledger,
) -> None:
    outcomes = await asyncio.gather(*(post(ledger, rpm=10) for _ in range(50)))
    made = [outcome for outcome in outcomes if not outcome.short]
    assert len(made) == await jobs_of(ledger) == 10
    assert sorted(outcome.left.requests for outcome in made) == list(range(10))
    refused = [outcome for outcome in outcomes if outcome.short]
    assert {outcome.short for outcome in refused} == {"requests"}
    assert all(5 < outcome.wait_s <= 6 for outcome in refused)


async def test_tokens_are_counted_as_exactly(ledger: Ledger) -> None:
    outcomes = await asyncio.gather(*(post(ledger, tpm=1_000, tokens=300) for _ in range(20)))
    made = [outcome for outcome in outcomes if not outcome.short]
    assert len(made) == await jobs_of(ledger) == 3
    [one, *_] = [outcome for outcome in outcomes if outcome.short]
    assert one.short == "tokens"
    assert 11 < one.wait_s <= 12  # 200 more tokens, at 1000 in a minute
    assert one.left.tokens in (100, 101, 102)


async def test_a_bucket_fills_up_again_continuously_and_never_over(ledger: Ledger) -> None:
    for _ in range(10):
        assert not (await post(ledger, rpm=10)).short
    assert (await post(ledger, rpm=10)).short
    await moved(ledger, "requests", MINUTE_MS // 10)
    assert not (await post(ledger, rpm=10)).short
    assert (await post(ledger, rpm=10)).short
    await moved(ledger, "requests", 100 * MINUTE_MS)
    assert (await post(ledger, rpm=10)).left.requests == 9


async def test_whoever_comes_when_it_was_told_to_gets_in(ledger: Ledger) -> None:
    each: list[dict[str, Any]] = [{"rpm": 7}, {"tpm": 777, "tokens": 100}]
    for limits in each:
        await ledger.line.call("DEL", bucket_key("alice"))
        while not (refused := await post(ledger, **limits)).short:
            pass
        await moved(ledger, refused.short, int(refused.wait_s * 1000))
        assert not (await post(ledger, **limits)).short


async def test_who_is_refused_is_not_charged(ledger: Ledger) -> None:
    assert (await post(ledger, rpm=5, tpm=100, tokens=60)).left == Allowance(5, 100, 4, 40)
    for _ in range(5):
        refused = await post(ledger, rpm=5, tpm=100, tokens=60)
        assert (refused.short, refused.left.requests) == ("tokens", 4)
    refused = await post(ledger, rpm=5, tpm=100, tokens=1, concurrent=1)
    assert (refused.too_many, refused.left.requests) == (1, 4)


async def test_what_is_sent_twice_is_charged_once(ledger: Ledger) -> None:
    job_id = new_job_id()
    value = f"{job_id} body"
    once: dict[str, Any] = {"idempotency": ("digest", value)}
    assert (await post(ledger, job_id, rpm=5, **once)).left.requests == 4
    assert (await post(ledger, job_id, rpm=5, **once)).left.requests == 4
    repeated = await post(ledger, rpm=5, **once)
    assert (repeated.existing, repeated.left.requests) == (value, 4)


async def test_at_its_end_a_job_gives_back_what_it_has_not_used(ledger: Ledger) -> None:
    caller = {"tpm": 10_000, "tokens": 6_000}
    first = await running(ledger, **caller)
    assert await tokens_left(ledger, 10_000) < 4_200
    usage = {"prompt_tokens": 2_060, "completion_tokens": 40}
    for _ in range(2):  # the second time because its answer was lost
        assert await finish(ledger, first, usage)
        assert 7_900 <= await tokens_left(ledger, 10_000) < 8_200


async def test_a_job_that_uses_more_than_it_said_leaves_a_debt(ledger: Ledger) -> None:
    job = await running(ledger, tpm=1_000, tokens=100)
    assert await finish(ledger, job, {"prompt_tokens": 50_000, "completion_tokens": 1})
    assert -1_000 <= await tokens_left(ledger, 1_000) <= -990  # a minute's worth, no more
    assert (await post(ledger, tpm=1_000, tokens=1)).short == "tokens"
    assert Allowance(0, 1_000, 0, -1_000).headers()["x-ratelimit-remaining-tokens"] == "0"


async def test_a_job_that_nobody_has_begun_gives_all_back_and_one_that_spoke_nothing(
    ledger: Ledger,
) -> None:
    job = await running(ledger, tpm=10_000, tokens=9_000)
    await ledger.cancel(job.id)
    assert await tokens_left(ledger, 10_000) == 10_000
    spoke = await running(ledger, tpm=10_000, tokens=9_000)
    await ledger.line.call("HSET", f"fleet:job:{spoke.id}", "first_token_at", 1)
    await ledger.cancel(spoke.id)
    assert await tokens_left(ledger, 10_000) < 1_200


async def test_what_makes_no_job_is_charged_from_the_same_bucket(ledger: Ledger) -> None:
    caller = Caller("alice", rpm=2, tpm=100)
    headers = await ledger.charge(caller, 30)
    assert headers["x-ratelimit-remaining-requests"] == "1"
    assert headers["x-ratelimit-remaining-tokens"] == "70"
    with pytest.raises(TooManyTokens, match="100 tokens in a minute"):
        await ledger.charge(caller, 90)
    await ledger.charge(caller, 1)
    with pytest.raises(TooManyRequests, match="2 requests in a minute") as refused:
        await ledger.charge(caller, 1)
    assert refused.value.headers["x-ratelimit-limit-requests"] == "2"
    assert refused.value.retry_after_s
    with pytest.raises(InvalidRequest, match="this key has 100 in a minute"):
        await ledger.charge(caller, 101)
    assert await ledger.charge(Caller("bob"), 10**9) == {}


async def test_money_is_counted_once_and_models_that_cost_none_go_on(ledger: Ledger) -> None:
    budget: dict[str, Any] = {"budget_usd": 0.5}
    job, book = await running(ledger, **budget), Book(ledger.line, Settings())
    call = Hold(f"{job.id}.1", 0.4, [cap_of_caller("alice", 0, 0.5)])
    await book.reserve(call)
    for _ in range(2):  # its answer was lost: sent again
        await book.settle(job.id, call, 0.5)
    assert await finish(ledger, job, {"prompt_tokens": 1, "completion_tokens": 1})
    paid = await ledger.load(job.id)
    assert paid
    assert paid.cost_usd == 0.5
    refused = await post(ledger, **budget)
    assert (refused.short, 0 < refused.wait_s <= 86_400) == ("money", True)
    assert not (await post(ledger, budget_usd=0.6)).short
    job_id = new_job_id()
    assert not (await post(ledger, job_id, free=("fast",), **budget)).short
    job = await ledger.load(job_id)
    assert job
    assert job.allowed == ("fast",)


async def test_what_is_set_aside_is_spent_and_calls_are_counted_too(ledger: Ledger) -> None:
    job, book = await running(ledger), Book(ledger.line, Settings())
    call = Hold(f"{job.id}.1", 0.5, [cap_of_caller("alice", 0, 0.5)])
    await book.reserve(call)
    assert (await post(ledger, budget_usd=0.5)).short == "money"
    assert (await post(ledger, paid_calls=1)).short == "calls"
    assert not (await post(ledger, paid_calls=2)).short
    await book.settle(job.id, call, 0.1)
    assert not (await post(ledger, budget_usd=0.5)).short


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0ms"), (0.0123, "13ms"), (1, "1s"), (59.2, "1m0s"), (60, "1m0s"), (360, "6m0s")],
)
def test_times_are_written_as_openai_does(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@given(st.floats(0, 86_400))
def test_no_time_is_said_shorter_than_it_is(seconds: float) -> None:
    found = re.fullmatch(r"(?:(\d+)ms|(?:(\d+)m)?(\d+)s)", duration(seconds))
    assert found
    ms, minutes, rest = (int(part or 0) for part in found.groups())
    assert seconds <= ms / 1000 + 60 * minutes + rest < seconds + 1


class Desk:
    """A fleet of one model, and callers with limits."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def caller(self, name: str, **limits: Any) -> httpx.Client:
        """A client with a fresh key of that name."""
        return client_of(self.stack, Caller(name, **limits))


EMBED = """
[[models]]
name = "embed"
task = "embedding"
url = "{url}"
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("limits")
    valkey = Valkey(folder)
    valkey.start()
    fake = Fake("llama_server", folder / "fast.log", "--slots=4")
    fake.start()
    embed = Fake("llama_server", folder / "embed.log", "--embeddings")
    embed.start()
    config = MODEL.format(name="fast", url=fake.url, slots=4, context=4096)
    config += EMBED.format(url=embed.url)
    stack = Stack(folder, valkey.url, config)
    desk = Desk(stack)
    stack.start_all("fast")
    yield desk
    stack.stop()
    fake.close()
    embed.close()
    valkey.stop()


def say(client: httpx.Client, text: str = "Hi [[fake n=3]]", **fields: Any) -> httpx.Response:
    return client.post("/v1/jobs", json={"message": text, "model": "fast", **fields})


def test_fifty_posts_at_once_of_a_key_that_has_ten_make_ten_jobs(desk: Desk) -> None:
    with desk.caller("crowd", rpm=10) as client, ThreadPoolExecutor(50) as threads:
        began = time.monotonic()
        replies = list(threads.map(lambda _: say(client), range(50)))
        grown = int((time.monotonic() - began) / 6) + 1  # one comes back in six seconds
        made = [reply for reply in replies if reply.status_code == 202]
        assert 10 <= len(made) < 10 + grown
        assert len(client.get("/v1/jobs?limit=100").json()["jobs"]) == len(made)
        refused = next(reply for reply in replies if reply.status_code == 429)
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    assert "10 requests in a minute; try again in" in error["message"]
    assert 1 <= int(refused.headers["retry-after"]) <= 6
    assert refused.headers["x-ratelimit-limit-requests"] == "10"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert "x-ratelimit-limit-tokens" not in refused.headers


def test_a_job_that_has_ended_has_cost_what_it_has_used(desk: Desk) -> None:
    with desk.caller("saver", tpm=5_000) as client:
        posted = say(client, max_tokens=2_000)
        left = int(posted.headers["x-ratelimit-remaining-tokens"])
        assert 2_900 < left < 3_000
        assert posted.headers["x-ratelimit-limit-tokens"] == "5000"
        assert posted.headers["x-ratelimit-reset-tokens"].endswith("s")
        shown = client.get(f"/v1/jobs/{posted.json()['id']}?wait=20").json()
        assert shown["status"] == "completed"
        again = say(client, max_tokens=10)
        assert int(again.headers["x-ratelimit-remaining-tokens"]) > 4_900


def test_texts_that_are_embedded_count_as_well(desk: Desk) -> None:
    with desk.caller("reader", rpm=1, tpm=1_000) as client:
        first = client.post("/v1/embeddings", json={"model": "embed", "input": "word" * 100})
        assert first.status_code == 200, first.text
        assert first.headers["x-ratelimit-remaining-requests"] == "0"
        assert 900 <= int(first.headers["x-ratelimit-remaining-tokens"]) <= 901
        second = client.post("/v1/embeddings", json={"model": "embed", "input": "word"})
        assert (second.status_code, second.json()["error"]["type"]) == (429, "requests")
        assert int(second.headers["retry-after"]) >= 1


def test_a_key_for_no_model_that_chats_makes_no_job(desk: Desk) -> None:
    with desk.caller("librarian", models=("embed",)) as client:
        refused = client.post("/v1/jobs", json={"message": "Hi"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
        assert client.get("/v1/models").status_code == 200
        assert client.post("/v1/embeddings", json={"input": "word"}).status_code == 200


def test_a_request_larger_than_a_minute_is_refused_for_good(desk: Desk) -> None:
    with desk.caller("greedy", tpm=500) as client:
        refused = say(client, max_tokens=600)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "max_tokens")
        assert "this key has 500 in a minute" in refused.json()["error"]["message"]
        assert say(client, "word " * 1_000).status_code == 400
        assert say(client).status_code == 202  # no `max_tokens`: as much as there is


def test_a_stream_has_the_same_head(desk: Desk) -> None:
    with desk.caller("streamer", rpm=3) as client:
        body = {"message": "Hi [[fake n=3]]", "model": "fast"}
        for left in ("2", "1", "0"):
            reply = client.post("/api/chat/stream", json=body)
            assert reply.headers["x-ratelimit-remaining-requests"] == left
        refused = client.post("/api/chat/stream", json=body)
        assert (refused.status_code, refused.json()["error"]["type"]) == (429, "requests")


def test_a_key_with_too_many_jobs_at_once_is_told_which_bound_it_was(desk: Desk) -> None:
    with desk.caller("busy", concurrent=2) as client:
        ids = [say(client, "Hi [[fake n=4000 tps=50]]").json()["id"] for _ in range(2)]
        refused = say(client)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_jobs")
        assert "its own limit, `concurrent`" in refused.json()["error"]["message"]
        for job_id in ids:
            client.post(f"/v1/jobs/{job_id}/cancel")
        wait_until(lambda: say(client).status_code == 202, "there is room again")


async def test_an_answer_that_was_given_before_is_a_request_but_no_tokens(ledger: Ledger) -> None:
    job = await running(ledger, cache=Kept("fleet:cache:q"))
    assert await finish(ledger, job, {"prompt_tokens": 500, "completion_tokens": 500})
    kept = await find(ledger, "q")
    assert kept.source == job.id
    outcome = await post(ledger, rpm=10, tpm=1_000, tokens=900, cache=kept)
    assert outcome.cache == "hit"
    assert outcome.left == Allowance(10, 1_000, 9, 1_000)
    assert await tokens_left(ledger, 1_000) == 1_000


async def test_who_follows_another_job_gets_its_tokens_back(ledger: Ledger) -> None:
    leader = await running(ledger, cache=Kept("fleet:cache:q"))
    how: dict[str, Any] = {"rpm": 10, "tpm": 1_000, "cache": await find(ledger, "q")}
    assert (await post(ledger, tokens=900, **how)).cache == "shared"
    assert await tokens_left(ledger, 1_000) < 200
    assert await finish(ledger, leader, {"prompt_tokens": 500, "completion_tokens": 500})
    assert await tokens_left(ledger, 1_000) == 1_000
