"""The whole way of a job: post, route, stream, read, read again."""

import subprocess
from typing import Any

import pytest
from redis import Redis

from fleet.message import encode
from fleet.names import RUN_TASK, queue_list
from tests.integration.conftest import Fleet
from tests.stack import text_of

WORDS = "".join(f" w{n}" for n in range(5))


@pytest.mark.parametrize(
    ("question", "model"),
    [
        ("Write a haiku about coding", "fast"),
        ("What is the weather in Paris?", "tool"),
        ("Analyze and compare the pros and cons of queues", "large"),
    ],
)
def test_three_questions_go_three_ways(fleet: Fleet, question: str, model: str) -> None:
    job = fleet.stack.ended(fleet.stack.post(question))
    assert (job["status"], job["model"], job["plan"][0]) == ("completed", model, model)


@pytest.mark.parametrize("model", ["fast", "tool", "large"])
def test_an_answer_is_told_with_its_words_and_figures(fleet: Fleet, model: str) -> None:
    job = fleet.stack.ended(fleet.stack.post("Hi [[fake n=5]]", model=model))
    assert (job["status"], job["model"]) == ("completed", model)
    assert job["answer"]["content"] == WORDS
    assert job["usage"]["completion_tokens"] == 5
    assert job["usage"]["timings"]["predicted_n"] == 5
    assert job["finish_reason"] == "stop"


def test_a_reader_sees_every_kind_in_order_and_numbers_without_a_gap(fleet: Fleet) -> None:
    events = fleet.stack.events(fleet.stack.post("Write a haiku [[fake n=5]]"))
    assert [number for number, _, _ in events] == list(range(len(events)))
    kinds = [kind for _, kind, _ in events]
    assert kinds[:3] == ["queued", "routed", "started"]
    assert set(kinds[3:-2]) == {"token"}
    assert kinds[-2:] == ["usage", "completed"]
    assert all(data["type"] == kind for _, kind, data in events)
    assert text_of(events) == WORDS
    routed = events[1][2]
    assert routed["plan"] == ["fast", "tool", "large"]
    assert routed["reasons"]


def test_a_reader_that_comes_back_anywhere_misses_and_repeats_nothing(fleet: Fleet) -> None:
    job_id = fleet.stack.post("Write a haiku [[fake n=5]]")
    whole = fleet.stack.events(job_id)
    assert len(whole) >= 5  # how many pieces go out together depends on the machine
    for after in range(len(whole) - 1):
        assert fleet.stack.events(job_id, after=after) == whole[after + 1 :]


def test_a_reader_that_drops_in_the_middle_of_a_live_stream_goes_on(fleet: Fleet) -> None:
    job_id = fleet.stack.post("Write a haiku [[fake n=30 tps=100]]")
    seen: list[tuple[int, str, dict[str, Any]]] = []
    while not seen or seen[-1][1] != "completed":
        with fleet.stack.reading(job_id, seen[-1][0] if seen else None) as stream:
            for _ in range(4):
                if (event := next(stream, None)) is None:
                    break
                seen.append(event)
    assert [number for number, _, _ in seen] == list(range(len(seen)))
    assert text_of(seen) == "".join(f" w{n}" for n in range(30))


def test_after_the_last_event_there_is_nothing_left(fleet: Fleet) -> None:
    job_id = fleet.stack.post("Write a haiku [[fake n=2]]")
    last = fleet.stack.events(job_id)[-1][0]
    reply = fleet.stack.client.get(
        f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": str(last)}
    )
    assert (reply.status_code, reply.content) == (204, b"")


def test_the_documents_own_curl_line_works_as_it_stands(fleet: Fleet) -> None:
    line = f"""curl -sN {fleet.stack.url}/api/chat/stream \\
  -d '{{"message": "What is the weather in Paris?"}}'"""
    out = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=30)
    assert out.stdout.startswith("retry: 1000\n")
    assert '"model":"tool"' in out.stdout
    assert '"content":" w0"' in out.stdout
    assert "event: completed" in out.stdout


def test_a_page_of_another_site_cannot_use_the_relabelled_form(fleet: Fleet) -> None:
    marks = [
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ]
    for mark in marks:
        for path in ("/api/chat/stream", "/v1/jobs"):
            reply = fleet.stack.client.post(
                path, content=b'{"message": "x"}', headers={"Content-Type": "text/plain", **mark}
            )
            assert reply.status_code == 400, (path, mark)
    own = {"Content-Type": "text/plain", "Origin": fleet.stack.url}
    reply = fleet.stack.client.post("/v1/jobs", content=b'{"message": "x"}', headers=own)
    assert reply.status_code == 202


def test_a_model_named_by_the_caller_answers(fleet: Fleet) -> None:
    job = fleet.stack.ended(fleet.stack.post("Hello [[fake n=1]]", model="large"))
    assert job["model"] == "large"


def test_a_follow_up_stays_with_the_subject(fleet: Fleet) -> None:
    turns = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "content": "Sunny."},
        {"role": "user", "content": "What about London?"},
    ]
    reply = fleet.stack.client.post("/v1/jobs", json={"messages": turns})
    assert fleet.stack.ended(reply.json()["id"])["route"] == "tool"


def test_the_server_is_always_asked_to_stream_and_gets_only_known_fields(fleet: Fleet) -> None:
    job_id = fleet.stack.post("Hi [[fake n=1]] marker-4711", model="fast", temperature=0.5, seed=7)
    fleet.stack.ended(job_id)
    body = next(b for b in fleet.fast.stats()["bodies"] if "marker-4711" in str(b))
    assert body["stream"] is True
    assert (body["temperature"], body["seed"]) == (0.5, 7)
    assert set(body) <= {
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "temperature",
        "seed",
    }


def test_reasoning_and_tool_calls_arrive_apart_from_the_text(fleet: Fleet) -> None:
    thinking = fleet.stack.ended(fleet.stack.post("Hi [[fake n=2 reasoning=2]]", model="fast"))
    assert thinking["answer"]["reasoning_content"]
    assert thinking["answer"]["content"] == " w0 w1"
    calling = fleet.stack.ended(fleet.stack.post("Hi [[fake tool=1]]", model="tool"))
    assert calling["finish_reason"] == "tool_calls"
    [call] = calling["answer"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert call["function"]["arguments"].startswith("{")


def test_an_answer_cut_by_its_length_is_incomplete(fleet: Fleet) -> None:
    job = fleet.stack.ended(fleet.stack.post("Hi [[fake n=3 finish=length]]", model="fast"))
    assert (job["status"], job["finish_reason"]) == ("incomplete", "length")


def test_a_flood_arrives_whole_in_fewer_larger_events(fleet: Fleet) -> None:
    events = fleet.stack.events(fleet.stack.post("Hi [[fake flood=3000]]", model="fast"))
    tokens = [data for _, kind, data in events if kind == "token"]
    assert text_of(events) == "".join(f" w{n}" for n in range(3000))
    assert sum(data["n"] for data in tokens) == 3000
    assert len(tokens) < 1500


def test_as_many_streams_as_the_server_has_slots_run_at_once(fleet: Fleet) -> None:
    ids = [fleet.stack.post("Hi [[fake n=20 tps=40]]", model="large") for _ in range(6)]
    for job_id in ids:
        assert fleet.stack.ended(job_id)["status"] == "completed"
    assert fleet.large.stats()["peak_active"] == 4


def test_the_list_shows_jobs_newest_first_and_goes_on_where_it_stopped(fleet: Fleet) -> None:
    ids = [fleet.stack.post("Hi [[fake n=1]]", model="large") for _ in range(5)]
    for job_id in ids:
        fleet.stack.ended(job_id)
    first = fleet.stack.client.get("/v1/jobs", params={"limit": 2, "model": "large"}).json()
    rest = fleet.stack.client.get(
        "/v1/jobs", params={"limit": 3, "model": "large", "after": first["next"]}
    ).json()
    listed = [job["id"] for job in (*first["jobs"], *rest["jobs"])]
    assert listed == ids[::-1]
    assert all(job["status"] == "completed" for job in first["jobs"])


def test_the_same_key_and_body_is_the_same_job_and_another_body_is_refused(fleet: Fleet) -> None:
    def post(text: str) -> tuple[int, str]:
        reply = fleet.stack.client.post(
            "/v1/jobs", json={"message": text}, headers={"Idempotency-Key": "once"}
        )
        return reply.status_code, str(reply.json().get("id"))

    first = post("Hi [[fake n=1]]")
    assert first[0] == 202
    assert post("Hi [[fake n=1]]") == first
    assert post("Something else")[0] == 409


def test_health_counts_who_works_for_each_model(fleet: Fleet) -> None:
    report = fleet.stack.client.get("/health").json()
    assert report["status"] == "ok"
    assert report["router"]["workers"] == 1
    assert report["models"]["fast"]["slots"] == 4
    assert {m["server"] for m in report["models"].values()} == {"ok"}


def test_a_message_that_comes_many_times_is_one_job_all_the_same(fleet: Fleet) -> None:
    job_id = fleet.stack.post("Hi [[fake n=20 tps=100]]", model="fast")
    fleet.stack.until_status(job_id, "running")
    with Redis.from_url(fleet.stack.env["FLEET_REDIS_URL"]) as client:
        for n in range(7):
            message = encode(RUN_TASK, job_id, f"{job_id}.again{n}", "fast", 3)
            client.lpush(queue_list("fast", 3), message)
    job = fleet.stack.ended(job_id)
    assert (job["status"], job["attempt"]) == ("completed", 1)
    kinds = [kind for _, kind, _ in fleet.stack.events(job_id)]
    assert (kinds.count("started"), kinds.count("completed")) == (1, 1)
