"""Models of providers: what is translated on the way there and back, and what bounds them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fakes.handle import Fake
from tests.integration.conftest import MODEL, new_day
from tests.stack import Stack
from tests.support import Valkey, wait_until

EXTERNAL = """
[[models]]
name = "claude"
kind = "anthropic"
url = "{claude}"
price = {{ input = 1000, output = 10000, cached_input = 100 }}

[[models]]
name = "expert"
kind = "anthropic"
url = "{claude}"
model = "claude-sonnet-5-5"
roles = ["expert"]

[[models]]
name = "gpt-4"
kind = "openai"
url = "{gpt}/v1"
model = "gpt-4o"
calls_per_day = 3
context = 2_000_000
price = {{ input = 1000, output = 10000 }}
timeouts = {{ between_tokens_s = 2 }}

[[models]]
name = "resting"
kind = "openai"
model = "gpt-4o"
api_key_env = "RESTING_API_KEY"
price = {{ input = 0, output = 0 }}
"""
WORKERS = {
    "fast": {},
    "claude": {"ANTHROPIC_API_KEY": "sk-claude"},
    "expert": {"ANTHROPIC_API_KEY": "sk-claude"},
    "gpt-4": {"OPENAI_API_KEY": "sk-gpt"},
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
PNG = "data:image/png;base64,AAAA"


@dataclass
class External:
    """A fleet of one local model and those of two providers."""

    stack: Stack
    local: Fake
    claude: Fake
    gpt: Fake

    def ended(self, text: str, model: str = "claude", **fields: Any) -> dict[str, Any]:
        """A job for that model, when it has ended."""
        return self.stack.ended(self.stack.post(text, model=model, **fields))

    def asked(self, fake: Fake) -> dict[str, Any]:
        """The last request to a provider."""
        body: dict[str, Any] = fake.stats()["bodies"][-1]
        return body


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[External]:
    folder = tmp_path_factory.mktemp("external")
    valkey = Valkey(folder)
    valkey.start()
    local = Fake("llama_server", folder / "local.log", "--slots=4")
    claude = Fake("anthropic_api", folder / "anthropic.log", "--slots=64", "--api-key=sk-claude")
    gpt = Fake("llama_server", folder / "gpt.log", "--slots=64", "--api-key=sk-gpt")
    fakes = (local, claude, gpt)
    for fake in fakes:
        fake.start()
    entries = MODEL.format(name="fast", url=local.url, slots=4, context=4096)
    bounds = "[fallback]\nrounds = 2\n[breaker]\nenabled = false\n"
    config = bounds + entries + EXTERNAL.format(claude=claude.url, gpt=gpt.url)
    on = {f"FLEET_MODELS__{name}__ENABLED": "true" for name in ("CLAUDE", "EXPERT", "GPT_4")}
    stack = Stack(folder, valkey.url, config, **on)
    stack.start_api()
    stack.start_router()
    for name, env in WORKERS.items():
        stack.start_worker(name, **env)
    stack.wait_ready(*WORKERS)
    yield External(stack, *fakes)
    stack.stop()
    for fake in fakes:
        fake.close()
    valkey.stop()


@pytest.fixture
def fleet(running: External) -> External:
    """The fleet on a new day: nothing spent, everybody well."""
    new_day(running.stack)
    if running.local.process is None:
        running.local.start()
    for fake in (running.local, running.claude, running.gpt):
        fake.control()
    return running


@pytest.mark.parametrize("bare", [0, 1])
def test_tools_go_to_claude_and_its_calls_come_back(fleet: External, bare: int) -> None:
    ask = {"role": "user", "content": f"How is it there? [[fake tool=2 bare={bare}]]"}
    first = fleet.ended(ask["content"], tools=[WEATHER])
    assert first["status"] == "completed"
    assert first["finish_reason"] == "tool_calls"
    assert first["answer"]["content"] == " w0"
    calls = first["answer"]["tool_calls"]
    given: dict[str, str] = {} if bare else {"city": "Paris"}
    assert [call["function"]["name"] for call in calls] == ["weather", "weather"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [given, given]
    assert len({call["id"] for call in calls}) == 2

    said = [
        ask,
        {"role": "assistant", "content": first["answer"]["content"], "tool_calls": calls},
        *({"role": "tool", "tool_call_id": call["id"], "content": "sunny"} for call in calls),
    ]
    after = fleet.ended("And so? [[fake n=2]]", messages=said, tools=[WEATHER])
    assert (after["status"], after["answer"]["content"]) == ("completed", " w0 w1")
    told = fleet.asked(fleet.claude)
    ids = [call["id"] for call in calls]
    assert [block.get("id") for block in told["messages"][1]["content"]] == [None, *ids]
    answered = told["messages"][2]["content"]
    assert [block.get("tool_use_id") for block in answered] == [*ids, None]
    assert told["tools"][0]["input_schema"] == WEATHER["function"]["parameters"]  # type: ignore[index]


def test_a_picture_goes_to_the_models_that_see(fleet: External) -> None:
    parts = [{"type": "image_url", "image_url": {"url": PNG}}]
    job = fleet.ended("What is it?", "auto", messages=[{"role": "user", "content": parts}])
    assert (job["status"], job["plan"]) == ("completed", ["claude", "expert"])
    picture, words = fleet.asked(fleet.claude)["messages"][0]["content"]
    assert picture["source"] == {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    assert words == {"type": "text", "text": "What is it?"}


def test_what_claude_thinks_is_reasoning(fleet: External) -> None:
    job = fleet.ended("[[fake reasoning=2 n=1]]", reasoning_effort="high")
    assert job["answer"]["reasoning_content"] == " r0 r1"
    assert job["answer"]["content"] == " w0"
    assert job["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}
    told = fleet.asked(fleet.claude)
    assert told["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert told["output_config"] == {"effort": "high"}


def test_a_schema_is_told_as_the_api_takes_it(fleet: External) -> None:
    age = {"type": "integer", "minimum": 1}
    schema = {"type": "object", "properties": {"age": age}, "required": ["age"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    assert fleet.ended("Whose?", response_format=wanted)["status"] == "completed"
    told = fleet.asked(fleet.claude)["output_config"]["format"]["schema"]
    assert (told["additionalProperties"], told["required"]) == (False, ["age"])
    assert "minimum" not in told["properties"]["age"]


@pytest.mark.parametrize(
    ("mode", "status", "finish"),
    [
        ("finish=refusal n=0", "incomplete", "content_filter"),
        ("finish=refusal n=2", "incomplete", "content_filter"),
        ("n=30", "incomplete", "length"),
        ("finish=pause_turn n=2", "incomplete", "length"),
        ("finish=stop_sequence n=2", "completed", "stop"),
    ],
)
def test_an_answer_that_is_not_whole_says_so(
    fleet: External, mode: str, status: str, finish: str
) -> None:
    job = fleet.ended(f"[[fake {mode}]]", max_tokens=20)
    assert (job["status"], job["finish_reason"]) == (status, finish)
    assert job["model"] == "claude"


def test_what_a_cache_had_is_counted_and_paid_as_such(fleet: External) -> None:
    words = "one two three four five six [[fake cached=5 n=2]]"
    job = fleet.ended(words)
    usage = job["usage"]
    assert usage["prompt_tokens"] == len(words.split())
    assert usage["prompt_tokens_details"] == {"cached_tokens": 5, "cache_write_tokens": 0}
    fresh = usage["prompt_tokens"] - 5
    assert job["cost_usd"] == pytest.approx((fresh * 1000 + 5 * 100 + 2 * 10000) / 1e6)


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ({"fail": 529}, "server_busy"),
        ({"fail": 429, "retry_after": 7}, "server_busy"),
        ({"refuse": 1}, "server_unreachable"),
        ({"context": 1}, "context_exceeded"),
        ({"error_event": 2}, "server_busy"),
        ({"cut": 2}, "stream_cut"),
        ({"noend": 1}, "stream_cut"),
        ({"malformed": 1}, "stream_cut"),
    ],
)
def test_the_job_falls_over_from_a_claude_that_fails(
    fleet: External, mode: dict[str, int], code: str
) -> None:
    fleet.claude.control(**mode)
    job_id = fleet.stack.post("Say it. [[fake n=3]]", model="claude")
    events = fleet.stack.events(job_id)
    job = fleet.stack.ended(job_id)
    assert (job["status"], job["model"]) == ("completed", "gpt-4")
    assert [(t["model"], t["code"]) for t in job["tried"]] == [("claude", code)]
    assert job["answer"]["content"] == " w0 w1 w2"
    begun = {"error_event", "cut", "noend", "malformed"} & set(mode)
    assert any(kind == "restarted" for _, kind, _ in events) == bool(begun)


@pytest.mark.parametrize("model", ["claude", "gpt-4"])
def test_a_key_that_is_refused_is_named_and_not_tried_again(fleet: External, model: str) -> None:
    fake, variable = {
        "claude": (fleet.claude, "ANTHROPIC_API_KEY"),
        "gpt-4": (fleet.gpt, "OPENAI_API_KEY"),
    }[model]
    before = fake.stats()["requests"]
    fake.control(fail=401)
    job = fleet.ended("Hello", model)
    assert job["status"] == "completed"
    assert job["tried"][0]["code"] == "not_served"
    assert f"the key is in {variable}" in job["tried"][0]["message"]
    assert fake.stats()["requests"] == before + 1


def test_a_refused_key_is_not_tried_again_when_the_plan_goes_round(fleet: External) -> None:
    fleet.local.stop()
    fleet.claude.control(fail=401)
    fleet.gpt.control(fail=503)
    before = fleet.claude.stats()["requests"]
    job = fleet.ended("Write a haiku", "auto")
    assert (job["status"], job["error"]["code"]) == ("failed", "all_models_unavailable")
    assert job["plan"] == ["fast", "claude", "expert", "gpt-4"]
    local, gpt = ("fast", "server_unreachable"), ("gpt-4", "server_failed")
    refused = [(name, "not_served") for name in ("claude", "expert")]
    assert [(t["model"], t["code"]) for t in job["tried"]] == [local, *refused, gpt, local, gpt]
    assert fleet.claude.stats()["requests"] == before + 2


def test_another_model_of_the_provider_has_a_role_of_its_own(fleet: External) -> None:
    assert fleet.ended("Hello", "expert")["model"] == "expert"
    assert fleet.asked(fleet.claude)["model"] == "claude-sonnet-5-5"
    assert fleet.ended("Hello", "claude")["model"] == "claude"
    assert fleet.asked(fleet.claude)["model"] == "claude-haiku-5-5"


def test_gpt_4_means_gpt_4(fleet: External) -> None:
    job = fleet.ended("Use GPT-4 for this: write a haiku", "auto", temperature=0.5, top_k=3)
    assert (job["status"], job["route"], job["model"]) == ("completed", "claude", "gpt-4")
    told = fleet.asked(fleet.gpt)
    assert set(told) == {
        *("model", "messages", "temperature", "max_completion_tokens"),
        *("stream", "stream_options"),
    }
    assert told["model"] == "gpt-4o"
    assert fleet.gpt.stats()["conversations"][-1] == ""
    used = job["usage"]["prompt_tokens"] * 1000 + job["usage"]["completion_tokens"] * 10000
    assert job["cost_usd"] == pytest.approx(used / 1e6)
    assert fleet.ended("Use Claude for this: write a haiku", "auto")["model"] == "claude"


def test_a_tool_call_comes_from_an_api_of_openais_form(fleet: External) -> None:
    job = fleet.ended("[[fake tool=1]]", "gpt-4", tools=[WEATHER], parallel_tool_calls=False)
    assert job["finish_reason"] == "tool_calls"
    [call] = job["answer"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    assert fleet.asked(fleet.gpt)["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ({"fail": 429}, "server_busy"),
        ({"fail": 404}, "not_served"),
        ({"fail": 503}, "server_failed"),
        ({"refuse": 1}, "stream_cut"),
        ({"cut": 2}, "stream_cut"),
        ({"noend": 1}, "stream_cut"),
        ({"stall": 2}, "server_stalled"),
        ({"error_event": 1}, "server_failed"),
    ],
)
def test_the_job_falls_over_from_a_provider_that_fails(
    fleet: External, mode: dict[str, int], code: str
) -> None:
    fleet.gpt.control(**mode)
    job = fleet.ended("Hello", "gpt-4")
    assert (job["status"], job["model"]) == ("completed", "claude")
    assert [(t["model"], t["code"]) for t in job["tried"]] == [("gpt-4", code)]


def test_a_cancelled_call_is_hung_up(fleet: External) -> None:
    for fake, model in ((fleet.claude, "claude"), (fleet.gpt, "gpt-4")):
        before = fake.stats()["client_gone"]
        job_id = fleet.stack.post("[[fake n=500 tps=20]]", model=model)
        with fleet.stack.reading(job_id) as events:
            next(kind for _, kind, _ in events if kind == "token")
            fleet.stack.client.post(f"/v1/jobs/{job_id}/cancel")
            assert [kind for _, kind, _ in events][-1] == "cancelled"
        wait_until(
            lambda fake=fake, gone=before + 1: fake.stats()["client_gone"] == gone,  # type: ignore[misc]
            f"{model} was hung up",
        )


def test_health_says_why_a_model_is_off_and_is_no_worse_for_it(fleet: External) -> None:
    report = fleet.stack.client.get("/health").json()
    assert (report["status"], report["problems"]) == ("ok", [])
    assert report["models"]["resting"] == {
        "workers": 0,
        "slots": 0,
        "active": 0,
        "server": "unknown",
        "queued": 0,
        "breaker": "closed",
        "off": "no RESTING_API_KEY, or `enabled = false`",
    }
    assert "off" not in report["models"]["claude"]
    refused = fleet.stack.client.post("/v1/jobs", json={"message": "Hi", "model": "resting"})
    assert "RESTING_API_KEY" in refused.json()["error"]["message"]


def test_no_more_calls_than_its_days_share(fleet: External) -> None:
    before = fleet.gpt.stats()["requests"]
    assert [fleet.ended("Hello", "gpt-4")["model"] for _ in range(4)] == [*["gpt-4"] * 3, "claude"]
    assert fleet.gpt.stats()["requests"] == before + 3
