"""What is noted of decisions and ends, what is remembered of a conversation, and feedback."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from fleet import scripts
from fleet.cache.similar import SimilarQuestions
from fleet.decision import Memory, conversation_handle
from fleet.decisions import PAGE, Example, feedback_examples, read
from fleet.dispatch import Dispatcher
from fleet.errors import StoreUnavailable
from fleet.events import Kind, event_data
from fleet.job import HandOver, Job, NewJob, Status, new_job_id
from fleet.ledger import Ledger, connect
from fleet.moves.ends import UNENDED
from fleet.moves.routes import Routed
from fleet.names import DECISIONS, DUE, EXAMPLES_MOST, FEEDBACK, conversation_key, job_key
from fleet.records import pairs
from fleet.request import FeedbackRequest
from fleet.rows import Feedback, Outcome, Row, Shadow
from fleet.settings import Settings
from router.classifiers import Classifiers
from router.deciding import Decider
from router.semantic import SemanticCache
from router.service import Router
from router.standing import Watch
from tests.support import Valkey, decision

MODELS: Any = (
    {"name": "fast", "url": "http://127.0.0.1:1"},
    {"name": "tool", "url": "http://127.0.0.1:2"},
)
DECIDED = decision(
    *("fast", "tool"),
    classifier="embedding",
    version="3",
    runner_up="tool",
    scores={"fast": 0.75, "tool": 0.5},
    domain="code",
    experiment="trial",
    arm="b",
    conversation=conversation_handle("local", {}, "talk"),
    held=2,
    took_ms=1.25,
)
DONE = [Kind.COMPLETED, event_data(Kind.COMPLETED, finish_reason="stop")]


def settings_for(url: str, **router: Any) -> Settings:
    tables: dict[str, Any] = {
        "router": router,
        "workers": {"lease_s": 30, "max_attempts": 1},
        "limits": {"queue_jobs": 4},
    }
    return Settings(redis_url=url, models=MODELS, **tables)


@asynccontextmanager
async def opened(url: str, **router: Any) -> AsyncIterator[Ledger]:
    settings = settings_for(url, **router)
    line = connect(settings)
    yield Ledger(line, settings, Dispatcher(settings))
    await line.aclose()


@pytest_asyncio.fixture
async def ledger(redis_url: str) -> AsyncIterator[Ledger]:
    async with opened(redis_url) as ledger:
        yield ledger


async def created(ledger: Ledger, text: str = "hi", **how: Any) -> str:
    job_id = new_job_id()
    request = {"messages": [{"role": "user", "content": text}]}
    fields: dict[str, Any] = {"caller": "local", "deadline_s": 60, "candidates": ["fast"], **how}
    await ledger.create(NewJob(job_id, request, **fields))
    return job_id


async def taken(ledger: Ledger, **how: Any) -> Job:
    await created(ledger, **how)
    job = await ledger.take(new_job_id())
    assert job
    return job


async def routed(ledger: Ledger, decided: Any = DECIDED, **how: Any) -> Job:
    job = await taken(ledger, **how)
    assert await ledger.route(job, decided) is Routed.DONE
    return job


async def claimed(ledger: Ledger, model: str = "fast", **how: Any) -> Job:
    await routed(ledger, **how)
    claim = await ledger.claim(model, "w", new_job_id())
    assert claim
    return claim.job


async def finished(
    ledger: Ledger, job: Job, status: Status = Status.COMPLETED, **fields: Any
) -> bool:
    event = [status.value, event_data(Kind(status.value))]
    return await ledger.finish(job, job.seq, status, event, fields)


async def loaded(ledger: Ledger, job_id: str) -> Job:
    job = await ledger.load(job_id)
    assert job
    return job


async def noted(ledger: Ledger, *kinds: str) -> list[dict[str, Any]]:
    """The entries of the decision log, oldest first; of these kinds if any is given."""
    entries = [pairs(flat) for _, flat in await ledger.line.call("XRANGE", DECISIONS, "-", "+")]
    return [json.loads(e["d"]) for e in entries if not kinds or e["k"] in kinds]


async def only_row(ledger: Ledger) -> Row:
    rows, unread, _ = await read(ledger)
    assert (len(rows), unread) == (1, 0)
    return rows[0]


async def outcome(ledger: Ledger) -> Outcome:
    found = (await only_row(ledger)).outcome
    assert found
    return found


# Decisions.


async def test_the_whole_decision_stands_in_the_record_and_in_the_log(ledger: Ledger) -> None:
    job = await loaded(ledger, (await routed(ledger)).id)
    for name, value in DECIDED.as_dict().items():
        if name not in ("held", "took_ms"):
            shown = getattr(job, name)
            assert (list(shown) if isinstance(shown, tuple) else shown) == value, name
    row = await only_row(ledger)
    assert (row.job, row.caller, row.outcome) == (job.id, "local", None)
    assert 0 <= row.at - job.created_at < 5_000
    assert row.as_dict().items() >= DECIDED.as_dict().items()
    [summary] = await ledger.recent("local", "+inf", 5)
    assert (summary.confidence, summary.scores, summary.arm) == (0.75, DECIDED.scores, "b")


async def test_readers_hear_of_a_decision_what_is_theirs(ledger: Ledger) -> None:
    with_arm = await routed(ledger)
    without = await routed(ledger, decision("fast"))
    heard = [(await ledger.read(job.id, 0))[0].payload() for job in (with_arm, without)]
    theirs = {"at", "type", "route", "model", "plan", "reasons", "confidence", "classifier"}
    assert heard[0].keys() == theirs | {"experiment", "arm"}
    assert heard[1].keys() == theirs


async def test_another_model_of_the_plan_is_noted_with_the_reason(ledger: Ledger) -> None:
    job = await taken(ledger)
    assert await ledger.route(job, DECIDED, model="tool", notes=["a queue"]) is Routed.DONE
    record = await loaded(ledger, job.id)
    assert (record.model, record.step, record.reasons) == ("tool", 1, ("a test", "a queue"))
    assert (await only_row(ledger)).model == "tool"


async def test_a_router_that_meets_a_full_line_sends_the_job_on_and_says_why(
    redis_url: str,
) -> None:
    async with opened(redis_url) as ledger:
        for _ in range(4):
            await routed(ledger)
        job_id = await created(ledger, "hello", candidates=["tool"])
        settings = settings_for(redis_url)
        classifiers = Classifiers(settings)
        decider = Decider(settings, classifiers)
        similar = SemanticCache(SimilarQuestions(ledger, settings), settings, classifiers)
        await Router(ledger, decider, Watch(ledger, settings), similar).route("")
        await decider.aclose()
        job = await loaded(ledger, job_id)
        assert (job.status, job.plan, job.model) == (Status.ROUTED, ("fast", "tool"), "tool")
        assert job.reasons[-1] == "the line of 'fast' is full"
        rows, _, _ = await read(ledger, limit=1)
        assert (rows[0].job, rows[0].model, rows[0].reasons) == (job_id, "tool", job.reasons)


async def test_a_decision_that_is_repeated_or_does_not_hold_is_not_noted_again(
    ledger: Ledger,
) -> None:
    job = await routed(ledger)
    assert await ledger.route(job, DECIDED) is Routed.LATE
    for _ in range(3):
        await routed(ledger)
    full = await taken(ledger, candidates=["tool"])
    assert await ledger.route(full, DECIDED) is Routed.FULL
    assert len(await noted(ledger)) == 4


# Outcomes: each way to end leaves exactly one.


async def end_by_finish(ledger: Ledger) -> str:
    job = await claimed(ledger)
    for _ in range(2):
        assert await finished(ledger, job)
    return job.id


async def end_by_cancel(ledger: Ledger) -> str:
    job = await claimed(ledger)
    await asyncio.gather(*(ledger.cancel(job.id) for _ in range(3)))
    assert not await finished(ledger, job)
    return job.id


async def end_by_failing(ledger: Ledger) -> str:
    job = await routed(ledger)
    for _ in range(2):
        await ledger.fail(job.id, {"code": "x"}, UNENDED)
    return job.id


async def end_before_it_is_routed(ledger: Ledger) -> str:
    job = await taken(ledger)
    for _ in range(2):
        await ledger.fail(job.id, {"code": "x"})
    return job.id


async def end_by_the_reaper(ledger: Ledger) -> str:
    job = await routed(ledger, deadline_s=0.2)
    await asyncio.sleep(0.21)
    await asyncio.gather(*(ledger.reap() for _ in range(3)))
    return job.id


async def end_late_when_claimed(ledger: Ledger) -> str:
    job = await routed(ledger, deadline_s=0.2)
    await asyncio.sleep(0.21)
    for _ in range(2):
        assert await ledger.claim("fast", "w", new_job_id()) is None
    return job.id


async def end_poisoned_when_claimed(ledger: Ledger) -> str:
    job = await claimed(ledger)
    assert await ledger.hand_over(job, job.seq, HandOver(0, "why", [], free=False))
    assert await ledger.claim("fast", "w", new_job_id()) is None
    return job.id


async def end_late_when_taken(ledger: Ledger) -> str:
    job_id = await created(ledger, deadline_s=0.2)
    await asyncio.sleep(0.21)
    assert await ledger.take(new_job_id()) is None
    return job_id


async def end_poisoned_when_taken(ledger: Ledger) -> str:
    job = await taken(ledger)
    await ledger.line.call("HSET", job_key(job.id), "lease_until", 1)
    await ledger.line.call("ZADD", DUE, 1, job.id)
    await ledger.reap()
    assert await ledger.take(new_job_id()) is None
    return job.id


async def end_late_when_routed(ledger: Ledger) -> str:
    job = await taken(ledger, deadline_s=0.2)
    await asyncio.sleep(0.21)
    assert await ledger.route(job, DECIDED) is Routed.LATE
    return job.id


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (end_by_finish, Status.COMPLETED),
        (end_by_cancel, Status.CANCELLED),
        (end_by_failing, Status.FAILED),
        (end_before_it_is_routed, Status.FAILED),
        (end_by_the_reaper, Status.EXPIRED),
        (end_late_when_claimed, Status.EXPIRED),
        (end_poisoned_when_claimed, Status.FAILED),
        (end_late_when_taken, Status.EXPIRED),
        (end_poisoned_when_taken, Status.FAILED),
        (end_late_when_routed, Status.EXPIRED),
    ],
)
async def test_a_job_that_ends_leaves_one_outcome(
    ledger: Ledger, end: Callable[[Ledger], Any], status: Status
) -> None:
    job_id = await end(ledger)
    record = await loaded(ledger, job_id)
    [entry] = await noted(ledger, "outcome")
    assert (entry["job"], entry["status"], record.status) == (job_id, status, status)
    assert entry["total_ms"] == record.finished_at - record.created_at
    assert (entry["model"], entry["route"]) == (record.model or None, record.route or None)


async def test_an_outcome_tells_times_tokens_and_failures(ledger: Ledger) -> None:
    job = await claimed(ledger)
    failure = {"model": "fast", "attempt": 1, "code": "x", "message": "y"}
    assert await ledger.hand_over(job, job.seq, HandOver(1, "why", [failure]))
    again = await ledger.claim("tool", "w", new_job_id())
    assert again
    await ledger.line.call("HSET", job_key(job.id), "first_token_at", again.job.created_at + 7)
    usage = {"model": "tool", "prompt_tokens": 32, "completion_tokens": 5, "timings": {"a": 1.5}}
    assert await finished(ledger, again.job, usage=usage)
    seen = await outcome(ledger)
    record = await loaded(ledger, job.id)
    assert seen == Outcome(
        at=record.finished_at,
        status="completed",
        model="tool",
        route="fast",
        wait_ms=record.started_at - record.created_at,
        first_token_ms=7,
        total_ms=record.finished_at - record.created_at,
        prompt_tokens=32,
        completion_tokens=5,
        attempt=2,
        failed_over=1,
        experiment="trial",
        arm="b",
    )


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        "many",
        {},
        {"prompt_tokens": None, "completion_tokens": "many"},
        {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
        {"prompt_tokens": -1, "completion_tokens": 1e300},
        {"prompt_tokens": {"a": 1}, "completion_tokens": [1]},
    ],
)
async def test_a_server_that_counts_nonsense_does_not_keep_a_job_from_its_end(
    ledger: Ledger, usage: Any
) -> None:
    assert await finished(ledger, await claimed(ledger), usage=usage)
    seen = await outcome(ledger)
    assert (seen.prompt_tokens, seen.completion_tokens) == (None, None)


async def test_a_usage_too_deep_to_be_read_does_not_keep_a_job_from_its_end(
    ledger: Ledger,
) -> None:
    job = await claimed(ledger)
    await ledger.line.call("HSET", job_key(job.id), "usage", 1_200 * "[" + 1_200 * "]")
    assert await finished(ledger, job)
    assert (await outcome(ledger)).status == "completed"


async def test_a_record_of_another_version_ends_with_an_outcome(ledger: Ledger) -> None:
    job = await routed(ledger)
    await ledger.line.call("HDEL", job_key(job.id), "created_at", "attempt", "model", "experiment")
    await ledger.fail(job.id, {"code": "x"}, UNENDED)
    [entry] = await noted(ledger, "outcome")
    told = ("total_ms", "wait_ms", "attempt", "model", "experiment")
    assert [entry[name] for name in told] == [None] * 5


# The log as a whole.


async def test_the_log_keeps_about_as_many_entries_as_it_is_told(redis_url: str) -> None:
    async with opened(redis_url, log_size=200) as ledger:
        for n in range(600):
            await ledger.note_shadow(f"job_{n}", "trial", "c", "fast", 0.5, 1.0)
        for _ in range(3):
            await ledger.cancel((await routed(ledger)).id)
        assert 200 <= await ledger.line.call("XLEN", DECISIONS) <= 306
        rows, _, _ = await read(ledger)
        assert len(rows) == 3


async def test_a_log_of_size_0_is_not_written(redis_url: str) -> None:
    async with opened(redis_url, log_size=0) as ledger:
        for end in (end_by_finish, end_by_cancel, end_late_when_claimed, end_late_when_taken):
            await end(ledger)
        job = await routed(ledger)
        await ledger.note_shadow(job.id, "trial", "c", "fast", 0.5, 1.0)
        assert await ledger.give_feedback(job, FeedbackRequest(rating=5))
        assert await ledger.line.call("EXISTS", DECISIONS) == 0
        assert await read(ledger) == ([], 0, [])


async def test_what_was_decided_since_a_time_and_the_newest_of_it(ledger: Ledger) -> None:
    jobs = []
    for _ in range(4):
        jobs.append(await routed(ledger))
        await ledger.cancel(jobs[-1].id)
        await asyncio.sleep(0.002)
    everything, _, _ = await read(ledger)
    assert [row.job for row in everything] == [job.id for job in jobs]
    since, _, _ = await read(ledger, since_ms=everything[2].at)
    assert since == everything[2:]
    assert all(row.outcome for row in since)
    for limit, expected in ((0, []), (1, everything[3:]), (3, everything[1:]), (9, everything)):
        assert (await read(ledger, limit=limit)).rows == expected


async def test_a_log_of_many_pages_is_read_whole(ledger: Ledger) -> None:
    first = await routed(ledger)
    shadow = json.dumps(
        {"job": first.id, "experiment": "trial", "route": "fast", "confidence": 0.5, "took_ms": 1}
    )
    names = (f"arm-{n}" for n in range(2 * PAGE))
    entries = (shadow[:-1] + f', "arm": "{name}"}}' for name in names)
    await ledger.line.calls(
        [("XADD", DECISIONS, "*", "k", "shadow", "d", entry) for entry in entries]
    )
    await ledger.line.call("XADD", DECISIONS, "*", "k", "shadow", "d", '{"job": "job_x"}')
    await ledger.line.call("XADD", DECISIONS, "*", "x", "y")
    await ledger.cancel(first.id)
    [row], unread, _ = await read(ledger)
    assert (len(row.shadows), unread) == (2 * PAGE, 2)
    assert row.shadows[7] == Shadow("trial", "arm-7", "fast", 0.5, 1.0)
    assert row.outcome


async def test_when_memory_is_full_a_job_still_goes_to_its_end(own_valkey: Valkey) -> None:
    async with opened(own_valkey.url) as ledger:
        waiting, running = await taken(ledger), await claimed(ledger)
        await ledger.line.call("CONFIG", "SET", "maxmemory", "1mb")
        with pytest.raises(StoreUnavailable, match="memory is full"):
            await created(ledger)
        assert await ledger.route(waiting, DECIDED) is Routed.DONE
        assert await finished(ledger, running)
        assert (await ledger.cancel(waiting.id)) == (True, Status.CANCELLED)
        assert len(await noted(ledger, "outcome")) == 2
        with pytest.raises(StoreUnavailable, match="memory is full"):
            await ledger.give_feedback(running, FeedbackRequest(rating=5))
        with pytest.raises(StoreUnavailable, match="memory is full"):
            await ledger.note_shadow(running.id, "trial", "c", "fast", 0.5, 1.0)


# A conversation's memory.


async def remembered(ledger: Ledger) -> Memory | None:
    return await ledger.conversation(DECIDED.conversation)


async def ttl(ledger: Ledger) -> int:
    seconds: int = await ledger.line.call("TTL", conversation_key(DECIDED.conversation))
    return seconds


async def test_a_decision_is_remembered_for_the_conversations_next_turn(ledger: Ledger) -> None:
    assert await remembered(ledger) is None
    job = await routed(ledger)
    at = (await only_row(ledger)).at
    assert await remembered(ledger) == Memory("fast", "fast", 0.75, 2, at)
    assert 3_590 < await ttl(ledger) <= 3_600
    other = decision("tool", route="tool", conversation=DECIDED.conversation)
    await routed(ledger, other)
    memory = await remembered(ledger)
    assert memory
    assert (memory.route, memory.model, memory.held) == ("tool", "tool", 0)
    assert await ledger.route(job, DECIDED) is Routed.LATE
    assert await remembered(ledger) == memory


@pytest.mark.parametrize(
    ("status", "answered"),
    [(Status.COMPLETED, "tool"), (Status.INCOMPLETE, "tool"), (Status.FAILED, "fast")],
)
async def test_who_has_answered_is_remembered(
    ledger: Ledger, status: Status, answered: str
) -> None:
    job = await claimed(ledger)
    assert await ledger.hand_over(job, job.seq, HandOver(1, "why", []))
    again = await ledger.claim("tool", "w", new_job_id())
    assert again
    await ledger.line.call("EXPIRE", conversation_key(DECIDED.conversation), 100)
    assert await finished(ledger, again.job, status)
    memory = await remembered(ledger)
    assert memory
    assert (memory.route, memory.model) == ("fast", answered)
    assert (await ttl(ledger) > 100) == (answered == "tool")


async def test_a_conversation_that_is_forgotten_stays_so(ledger: Ledger) -> None:
    job = await claimed(ledger)
    await ledger.line.call("DEL", conversation_key(DECIDED.conversation))
    assert await finished(ledger, job)
    assert await remembered(ledger) is None


async def test_nothing_is_remembered_where_there_is_no_conversation_or_no_time_for_it(
    redis_url: str,
) -> None:
    async with opened(redis_url, conversation_s=0) as ledger:
        assert await finished(ledger, await claimed(ledger))
    async with opened(redis_url) as ledger:
        await routed(ledger, decision("fast"))
        assert await ledger.line.call("KEYS", "fleet:conversation:*") == []


async def test_the_callers_name_of_a_conversation_is_in_its_record(ledger: Ledger) -> None:
    named, nameless = await taken(ledger, conversation_id="talk-1"), await taken(ledger)
    assert (named.conversation_id, nameless.conversation_id) == ("talk-1", "")


# Feedback.


def says(**said: Any) -> FeedbackRequest:
    return FeedbackRequest.model_validate(said)


async def test_the_latest_feedback_counts(ledger: Ledger) -> None:
    job = await routed(ledger, text="How many?")
    for said in (says(route="tool"), says(rating=2, comment="slow"), says(route="fast", rating=4)):
        assert await ledger.give_feedback(job, said)
        assert (await loaded(ledger, job.id)).feedback == said.model_dump()
        told = [(one.route, one.rating) for one in (await only_row(ledger)).feedback]
        assert told[-1] == (said.route, said.rating)
        found = [(one.text, one.route) for one in await feedback_examples(ledger)]
        assert found == ([("How many?", said.route)] if said.route else [])
    row = await only_row(ledger)
    assert len(row.feedback) == 3
    assert row.feedback[1] == Feedback(row.feedback[1].at, None, 2, "slow")


async def test_feedback_that_is_repeated_changes_nothing(ledger: Ledger) -> None:
    job = await routed(ledger)
    for _ in range(3):
        assert await ledger.give_feedback(job, says(route="tool"))
    assert len(await noted(ledger, "feedback")) == 1
    assert len(await feedback_examples(ledger)) == 1


async def test_feedback_for_a_job_that_is_gone_makes_none(ledger: Ledger) -> None:
    job = await routed(ledger)
    await ledger.line.call("DEL", job_key(job.id))
    assert not await ledger.give_feedback(job, says(route="tool"))
    assert await ledger.line.call("EXISTS", job_key(job.id), FEEDBACK) == 0


async def test_an_example_is_the_beginning_of_the_last_user_turn(ledger: Ledger) -> None:
    first = await routed(ledger, text="é" * 1_000)
    assert await ledger.give_feedback(first, says(route="tool"))
    second = await routed(ledger)
    assert await ledger.give_feedback(second, says(route="fast", rating=1))
    examples = await feedback_examples(ledger)
    at = [one.at for one in (await read(ledger)).rows[0].feedback]
    assert examples[0] == Example("é" * 600, "tool", at[0])
    assert examples[1][:2] == ("hi", "fast")


async def test_no_text_is_kept_where_none_is_wanted_and_where_there_is_none(
    redis_url: str,
) -> None:
    async with opened(redis_url, keep_feedback_text=False) as ledger:
        assert await ledger.give_feedback(await routed(ledger), says(route="tool"))
    async with opened(redis_url) as ledger:
        picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]
        job = await routed(ledger, text=picture)
        assert await ledger.give_feedback(job, says(route="tool"))
        assert await feedback_examples(ledger) == []
        assert len(await noted(ledger, "feedback")) == 2


async def test_examples_are_kept_up_to_their_number(ledger: Ledger) -> None:
    entry = ("XADD", FEEDBACK, "*", "route", "tool", "text", "old")
    await ledger.line.calls([entry] * (EXAMPLES_MOST + 500))
    job = await routed(ledger)
    assert await ledger.give_feedback(job, says(route="fast"))
    examples = await feedback_examples(ledger)
    assert EXAMPLES_MOST <= len(examples) <= EXAMPLES_MOST + 100
    assert examples[-1].route == "fast"


def test_feedback_waits_for_room_and_what_moves_a_job_does_not() -> None:
    assert "allow-oom" not in scripts.GIVE_FEEDBACK.source
    for script in (scripts.ROUTE, scripts.FINISH, scripts.CLOSE, scripts.CLAIM, scripts.TAKE):
        assert script.source.startswith("#!lua flags=allow-oom")
