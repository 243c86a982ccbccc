"""Questions by their embeddings in Redis, and a job that gets the answer of another one."""

import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from fleet.cache.kept import Kept
from fleet.cache.similar import Alike, SimilarQuestions
from fleet.dispatch import Dispatcher
from fleet.events import Kind, event_data, fold, text_event
from fleet.job import Job, NewJob, Status, new_job_id
from fleet.ledger import Ledger, connect
from fleet.moves.runs import Write
from fleet.names import cache_key, job_key, similar_key
from fleet.settings import Settings
from router.cascade import Failures
from router.nearness import nearest, record
from router.semantic import NAME, PATIENCE_S, SemanticCache
from tests.integration.test_ledger import CLAIMS, MODELS
from tests.support import decision

USAGE = {"model": "fast", "prompt_tokens": 5, "completion_tokens": 2}
ENTRIES = 10


@pytest_asyncio.fixture
async def ledger(redis_url: str) -> AsyncIterator[Ledger]:
    cache: Any = {"semantic": {"enabled": True, "entries": ENTRIES}}
    settings = Settings(redis_url=redis_url, models=MODELS, cache=cache)
    line = connect(settings)
    yield Ledger(line, settings, Dispatcher(settings))
    await line.aclose()


class Embedder:
    """One vector for all texts, unless it breaks or takes its time."""

    name = "test"

    def __init__(self, *, wait_s: float = 0.0, error: Exception | None = None) -> None:
        self._wait_s, self._error = wait_s, error

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        time.sleep(self._wait_s)
        if self._error:
            raise self._error
        return np.stack([unit(1) for _ in texts])


def cache_of(ledger: Ledger, embedder: Embedder) -> tuple[SemanticCache, Failures]:
    failures = Failures()
    classifiers: Any = SimpleNamespace(
        embedding=SimpleNamespace(embedder=embedder), failures=failures
    )
    return SemanticCache(similar(ledger), ledger._settings, classifiers), failures


def similar(ledger: Ledger) -> SimilarQuestions:
    return SimilarQuestions(ledger, ledger._settings)


async def taken(ledger: Ledger, question: str, **how: Any) -> Job:
    """A job that a router has taken, whose answer may be given again."""
    job_id = new_job_id()
    turn = {"role": "user", "content": question, **how.pop("turn", {})}
    request = {"messages": [turn], "temperature": 0}
    kept = Kept(cache_key(job_id.removeprefix("job_")))
    fields: dict[str, Any] = {"candidates": ["fast"], "deadline_s": 60, "cache": kept, **how}
    await ledger.create(NewJob(job_id, request, "local", **fields))
    job = await ledger.take(f"claim-{next(CLAIMS)}")
    assert job is not None
    assert job.id == job_id
    return job


async def answered(
    ledger: Ledger, question: str, *, status: Status = Status.COMPLETED, route: str = "fast"
) -> Job:
    """A job that a worker has answered."""
    job = await taken(ledger, question)
    await ledger.route(job, decision("fast", route=route))
    claim = await ledger.claim("fast", "me", f"claim-{next(CLAIMS)}")
    assert claim is not None
    events = [Kind.TOKEN, text_event("forty ", 1), Kind.TOKEN, text_event("two", 1)]
    (seq,) = await ledger.append([Write(claim.job, claim.job.seq, 0, events)])
    end = [Kind.USAGE, event_data(Kind.USAGE, **USAGE), status.value]
    end.append(event_data(Kind(status.value), finish_reason="stop"))
    assert await ledger.finish(claim.job, seq, status, end, {"usage": USAGE})
    return job


def unit(*numbers: float) -> Any:
    vector = np.array([*numbers, *[0.0] * (6 - len(numbers))], np.float32)
    return vector / np.linalg.norm(vector)


async def note(ledger: Ledger, job: Job, vector: Any, frame: str = "frame") -> None:
    await similar(ledger).note(job, frame, record(job.id.removeprefix("job_"), vector))


async def test_the_nearest_question_is_found_first(ledger: Ledger) -> None:
    jobs = [await taken(ledger, f"question {n}") for n in range(3)]
    for job, vector in zip(jobs, (unit(1, 1), unit(1, 0.1), unit(0, 1)), strict=True):
        await note(ledger, job, vector)
    noted = await similar(ledger).noted("frame")
    near = nearest(noted, unit(1), 0.5, 8)
    assert [f"job_{each.digits}" for each in near] == [jobs[1].id, jobs[0].id]
    assert abs(near[0].similarity - float(unit(1, 0.1) @ unit(1))) < 0.005
    assert nearest(await similar(ledger).noted("another"), unit(1), 0.0, 8) == ()


async def test_a_note_that_is_sent_twice_is_made_once(ledger: Ledger) -> None:
    job = await taken(ledger, "once")
    for _ in range(2):
        await note(ledger, job, unit(1))
    assert len(nearest(await similar(ledger).noted("frame"), unit(1), 0.0, 8)) == 1


async def test_the_oldest_questions_make_room(ledger: Ledger) -> None:
    jobs = [await taken(ledger, f"question {n}") for n in range(ENTRIES + 1)]
    for job in jobs:
        await note(ledger, job, unit(1))
    kept = nearest(await similar(ledger).noted("frame"), unit(1), 0.0, 100)
    assert {f"job_{each.digits}" for each in kept} == {job.id for job in jobs[-ENTRIES + 1 :]}


async def test_a_deleted_job_takes_its_embedding_with_it(ledger: Ledger) -> None:
    first, second = await taken(ledger, "first"), await taken(ledger, "second")
    for job in (first, second):
        await note(ledger, job, unit(1))
    assert await ledger.delete(first.id, "local")
    near = nearest(await similar(ledger).noted("frame"), unit(1), 0.0, 8)
    assert [f"job_{each.digits}" for each in near] == [second.id]
    assert await ledger.line.call("TTL", similar_key("frame")) > 0
    await note(ledger, first, unit(1))
    assert len(await similar(ledger).noted("frame")) == len(record("0" * 32, unit(1)))


async def test_a_job_gets_the_answer_of_another_one_and_says_so(ledger: Ledger) -> None:
    source = await answered(ledger, "What is six by nine?")
    job = await taken(ledger, "What's six by nine?")
    alike = Alike(source.id, "What is six by nine?", 0.98)
    for _ in range(2):  # the first answer may have been lost
        assert await similar(ledger).answer(job, alike) is True
    ended = await ledger.load(job.id)
    assert ended is not None
    log = await ledger.read_all(job.id)
    assert [event.kind for event in log] == [
        *("queued", "routed", "started", "token", "usage", "completed")
    ]
    assert fold(log).content == "forty two"
    routed = log[1].payload()
    assert routed["cache"] == "semantic"
    assert routed["reasons"] == ["a question like it was asked before (0.980)"]
    assert (ended.status, ended.cache, ended.model) == (Status.COMPLETED, "semantic", "fast")
    assert (ended.similar_to, ended.similarity) == (source.id, 0.98)
    assert (ended.usage, ended.cost_usd, ended.reasons) == (USAGE, 0, tuple(routed["reasons"]))
    assert await ledger.unended_jobs("local") == 0


async def test_who_asks_the_same_at_that_moment_gets_it_too(ledger: Ledger) -> None:
    source = await answered(ledger, "first")
    job = await taken(ledger, "second")
    fields: dict[str, Any] = {"candidates": ["fast"], "deadline_s": 60}
    follower = new_job_id()
    fields["cache"] = Kept(job.cache_key, leader=job.id)
    assert (await ledger.create(NewJob(follower, job.request, "local", **fields))).cache == "shared"
    assert await similar(ledger).answer(job, Alike(source.id, "first", 0.98))
    log = await ledger.read_all(follower)
    assert [event.seq for event in log] == list(range(len(log)))
    assert (fold(log).content, log[-1].kind) == ("forty two", "completed")
    shown = await ledger.load(follower)
    assert shown is not None
    assert (shown.status, shown.model, shown.route) == (Status.COMPLETED, "fast", "fast")
    assert shown.first_token_at == shown.finished_at


async def test_only_a_whole_answer_that_is_still_there_is_given_again(ledger: Ledger) -> None:
    cut = await answered(ledger, "cut short", status=Status.INCOMPLETE)
    live = await answered(ledger, "looked up", route="tool")
    gone = await answered(ledger, "deleted")
    await ledger.delete(gone.id, "local")
    under_way = await taken(ledger, "under way")
    job = await taken(ledger, "another")
    for source in (cut, live, gone, under_way):
        assert await similar(ledger).answer(job, Alike(source.id, "", 0.99)) is None
    asked = await similar(ledger).questions([cut.id, live.id, gone.id, under_way.id])
    assert asked == {live.id: "looked up"}
    waits = await ledger.load(job.id)
    assert waits is not None
    assert waits.status is Status.QUEUED


async def test_a_job_that_has_gone_on_is_left_alone(ledger: Ledger) -> None:
    source = await answered(ledger, "first")
    job = await taken(ledger, "second")
    await ledger.route(job, decision("fast"))
    assert await similar(ledger).answer(job, Alike(source.id, "first", 0.99)) is False
    assert [event.kind for event in await ledger.read_all(job.id)] == ["queued", "routed"]


async def test_a_question_that_was_remembered_is_answered_again(ledger: Ledger) -> None:
    cache, failures = cache_of(ledger, Embedder())
    first = await answered(ledger, "How do I boil an egg?")
    await cache.remember(first, decision("fast"))
    assert not await cache.answer(await taken(ledger, "How do I fry an egg?"), decision("fast"))
    assert await cache.answer(await taken(ledger, "how to boil an egg"), decision("fast"))
    assert failures.as_dict() == {}
    cache.close()


@pytest.mark.parametrize(
    ("embedder", "why"),
    [
        (Embedder(wait_s=PATIENCE_S + 0.2), "it gave no embedding in time"),
        (Embedder(error=OSError("words of somebody")), "OSError"),
    ],
)
async def test_an_embedder_that_is_slow_or_broken_is_a_miss(
    ledger: Ledger, embedder: Embedder, why: str
) -> None:
    well, _ = cache_of(ledger, Embedder())
    await well.remember(await answered(ledger, "How do I boil an egg?"), decision("fast"))
    ill, failures = cache_of(ledger, embedder)
    job = await taken(ledger, "how to boil an egg")
    assert not await ill.answer(job, decision("fast"))
    assert failures.as_dict() == {NAME: why}
    assert await well.answer(job, decision("fast"))


async def test_what_the_cache_may_not_keep_is_not_looked_for(ledger: Ledger) -> None:
    cache, _ = cache_of(ledger, Embedder())
    await cache.remember(await answered(ledger, "How do I boil an egg?"), decision("fast"))
    asked = "how to boil an egg"
    assert not await cache.answer(await taken(ledger, asked), decision("tool", route="tool"))
    assert not await cache.answer(await taken(ledger, asked, cache=None), decision("fast"))
    assert await cache.answer(await taken(ledger, asked), decision("fast"))


async def test_what_a_turn_says_beside_its_text_must_be_the_same(ledger: Ledger) -> None:
    cache, _ = cache_of(ledger, Embedder())
    await cache.remember(await answered(ledger, "What is my name?"), decision("fast"))
    somebody = await taken(ledger, "what is my name", turn={"name": "bob"})
    assert not await cache.answer(somebody, decision("fast"))
    assert await cache.answer(await taken(ledger, "what is my name"), decision("fast"))
    cache.close()


async def test_a_record_that_cannot_be_read_is_a_miss(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    cache, _ = cache_of(ledger, Embedder())
    first = await answered(ledger, "How do I boil an egg?")
    await cache.remember(first, decision("fast"))
    await ledger.line.call("HSET", job_key(first.id), "request", "no JSON")
    assert not await cache.answer(await taken(ledger, "how to boil an egg"), decision("fast"))
    assert "the semantic cache was not asked" in caplog.text
