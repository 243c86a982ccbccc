"""The commands that talk to the API, against a small one that says what a test tells it to."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli import ask, jobs, waiting
from cli.client import FleetClient, address, find_api
from cli.failures import ApiError, NoFleet
from cli.follow import ask as ask_and_follow
from cli.outcome import Outcome
from fleet.errors import ConfigError
from tests.support import until

JOB = {
    "id": "job_1",
    "status": "completed",
    "model": "fast",
    "route": "fast",
    "plan": ["fast", "tool"],
    "reasons": ["it is short"],
    "created_at": 1000,
    "first_token_at": 1040,
    "finished_at": 1200,
    "answer": {"role": "assistant", "content": "Hi there"},
    "usage": {"completion_tokens": 2, "timings": {"predicted_per_second": 70.0}},
    "error": None,
    "tried": [],
}
WAY: list[tuple[str, dict[str, Any]]] = [
    ("queued", {}),
    ("routed", {"route": "fast", "model": "fast", "reasons": ["it is short"]}),
    ("started", {"model": "fast", "attempt": 1}),
    ("token", {"content": "Hi"}),
    ("token", {"content": " there"}),
    ("completed", {"finish_reason": "stop"}),
]


class Api(ThreadingHTTPServer):
    """Answers from what the test has set; remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.job: dict[str, Any] = dict(JOB)
        self.way = list(WAY)
        #: Events sent before the connection is cut, for each connection in turn.
        self.cuts: list[int] = []
        self.never_ends = False
        self.health: dict[str, Any] = {"status": "down"}
        self.asked: list[tuple[str, str]] = []
        self.last_ids: list[str | None] = []
        self.bodies: list[Any] = []
        self.keys: list[str | None] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Api

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.server.asked.append(("POST", self.path))
        self.server.keys.append(self.headers.get("Authorization"))
        if self.path.endswith("/cancel"):
            self._json(200, {"id": "job_1", "status": "cancelled"})
            return
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._json(202, {"id": "job_1", "status": "queued"})

    def do_GET(self) -> None:
        self.server.asked.append(("GET", self.path))
        if self.path == "/v1/jobs/job_1/events":
            self._events()
        elif self.path == "/health":
            self._json(503, self.server.health)
        elif self.path == "/v1/jobs/job_1":
            self._json(200, self.server.job)
        elif self.path.startswith("/v1/jobs?"):
            found = [] if "model=nobody" in self.path else [self.server.job]
            self._json(200, {"jobs": found, "next": None})
        elif self.path == "/v1/jobs/not-json":
            self.send_response(200)
            self.end_headers()
        else:
            self._json(404, {"error": {"message": "no such job", "code": "not_found"}})

    def _json(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _events(self) -> None:
        last = self.headers.get("Last-Event-ID")
        self.server.last_ids.append(last)
        begin = int(last) + 1 if last else 0
        rest = list(enumerate(self.server.way))[begin:]
        if not rest:
            self.send_response(204)
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else len(rest)
        for seq, (kind, data) in rest[:cut]:
            self.wfile.write(f"id: {seq}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode())
            self.wfile.flush()
        if self.server.never_ends:
            self.server.over.wait(10)


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


async def question(api: Api, screen: Console, **body: Any) -> Outcome:
    async with FleetClient(api.url, "k-1") as client:
        return await ask_and_follow(client, {"message": "Hello", **body}, screen)


async def test_an_answer_is_shown_as_it_comes_and_the_key_is_sent(api: Api) -> None:
    shown = StringIO()
    outcome = await question(api, Console(file=shown))
    assert shown.getvalue().startswith("Hi there")
    assert outcome.well
    assert outcome.as_dict()["first_token_ms"] == 40
    assert api.keys == ["Bearer k-1"]


async def test_a_stream_that_was_cut_goes_on_where_it_stopped_with_nothing_doubled(
    api: Api,
) -> None:
    api.cuts = [4, 1]
    shown = StringIO()
    outcome = await question(api, Console(file=shown))
    assert outcome.content == "Hi there"
    assert api.last_ids == [None, "3", "4"]


async def test_after_a_restart_the_abandoned_text_is_not_part_of_the_answer(api: Api) -> None:
    again = ("restarted", {"reason": "the server died", "model": "tool"})
    api.way[4:4] = [again, ("token", {"content": "Hello"})]
    outcome = await question(api, Console(file=StringIO()))
    assert outcome.content == "Hello there"


async def test_a_model_cannot_steer_the_terminal(api: Api) -> None:
    api.way[3] = ("token", {"content": "\x1b]0;title\x07Hi[red]\x1b[2J"})
    shown = StringIO()
    await question(api, Console(file=shown))
    assert shown.getvalue().startswith("Hi[red] there")


async def test_nothing_left_to_read_is_an_end(api: Api) -> None:
    api.way = []
    outcome = await question(api, Console(file=StringIO()))
    assert outcome.status == "completed"


async def test_an_answer_that_ended_while_the_api_went_away_is_an_answer(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(self: FleetClient, job_id: str) -> dict[str, Any]:
        raise NoFleet(self.base_url)

    monkeypatch.setattr(FleetClient, "job", gone)
    usage = {"completion_tokens": 2, "timings": {"predicted_per_second": 70.0}}
    api.way[-1:] = [("usage", usage), ("completed", {})]
    outcome = await question(api, Console(file=StringIO()))
    assert outcome.well
    assert outcome.as_dict()["model"] == "fast"
    assert outcome.as_dict()["usage"] == usage


async def test_leaving_a_question_cancels_its_job(api: Api) -> None:
    api.way = api.way[:4]
    api.never_ends = True
    asking = asyncio.create_task(question(api, Console(file=StringIO())))
    await until(lambda: api.last_ids, "it reads the events")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert ("POST", "/v1/jobs/job_1/cancel") in api.asked


@pytest.fixture
def impatient(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks wonders soon, and nothing comes after the events of the way."""
    monkeypatch.setattr(waiting, "QUIET_S", 0.02)
    monkeypatch.setattr(waiting, "AGAIN_S", 0.04)
    api.never_ends = True


async def leave(asking: "asyncio.Task[Outcome]") -> None:
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.usefixtures("impatient")
async def test_a_question_that_nobody_answers_says_again_and_again_why(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.way = [("queued", {}), ("routed", {"route": "tool", "model": "tool"})]
    api.health = {"router": {"workers": 1}, "models": {"tool": {"workers": 0}}}
    asking = asyncio.create_task(question(api, Console(file=StringIO())))
    await until(lambda: api.asked.count(("GET", "/health")) > 2, "it asks how the API is")
    await leave(asking)
    assert capsys.readouterr().err.count("still waiting: no worker for tool") >= 2


@pytest.mark.usefixtures("impatient")
async def test_an_answer_that_pauses_in_its_middle_is_not_waited_for(api: Api) -> None:
    api.way = api.way[:4]
    shown = StringIO()
    asking = asyncio.create_task(question(api, Console(file=shown)))
    await until(shown.getvalue, "the answer begins")
    asked = len(api.asked)
    await asyncio.sleep(10 * waiting.QUIET_S)
    await leave(asking)
    assert ("GET", "/health") not in api.asked[asked:]


async def test_the_jobs_id_is_shown_once_with_its_route(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.way[2:2] = [("routed", {"route": "fast", "model": "tool"})]
    await question(api, Console(file=StringIO()))
    said = capsys.readouterr().err
    assert "fast → fast: it is short · job_1\n" in said
    assert "fast → tool\n" in said


async def test_a_refusal_carries_the_apis_own_words(api: Api) -> None:
    async with FleetClient(api.url) as client:
        with pytest.raises(ApiError, match="no such job"):
            await client.job("other")
        with pytest.raises(ApiError, match="no such job"):
            async for _ in client.events("other"):
                pass
        with pytest.raises(ApiError, match="is not a fleet's API"):
            await client.job("not-json")


async def test_an_api_that_is_not_there_is_said_so_at_once() -> None:
    async with FleetClient("http://127.0.0.1:1") as client:
        with pytest.raises(NoFleet, match="127"):
            await client.submit({})
        with pytest.raises(NoFleet):
            async for _ in client.events("job_1"):
                pass


def test_ask_prints_one_object_for_machines(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    wishes = {"model": "fast", "max_tokens": 5, "if_busy": None}
    assert ask.run("Hello", wishes, api.url, as_json=True) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["content"] == "Hi there"
    assert said["timings"] == {"predicted_per_second": 70.0}
    assert api.bodies == [{"message": "Hello", "model": "fast", "max_tokens": 5}]


def test_ask_reads_the_question_from_stdin(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("from a pipe"))
    assert ask.run("-", {"model": "auto"}, api.url, as_json=False) == 0
    assert api.bodies == [{"message": "from a pipe", "model": "auto"}]


def test_ask_fails_with_the_jobs_error_and_what_was_tried(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = [{"model": "fast", "message": "the server does not answer"}]
    error = {"message": "All models unavailable"}
    api.way[3:] = [("failed", {"error": error})]
    api.job = {**JOB, "status": "failed", "error": error, "tried": tried}
    assert ask.run("Hello", {"model": "auto"}, api.url, as_json=False) == 1
    said = capsys.readouterr().err
    assert "failed: All models unavailable" in said
    assert "fast: the server does not answer" in said


def test_jobs_and_job_and_cancel(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert jobs.show_list(api.url, "completed", None, 5, as_json=True) == 0
    assert jobs.show_one(api.url, "job_1", following=False, as_json=False) == 0
    assert jobs.show_one(api.url, "job_1", following=True, as_json=False) == 0
    assert jobs.cancel(api.url, "job_1", as_json=False) == 0
    assert api.asked[0] == ("GET", "/v1/jobs?status=completed&limit=5")
    said = capsys.readouterr().out
    assert "fast → tool" in said
    assert "job_1: cancelled" in said


def test_cancel_prints_the_apis_answer_for_machines(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    assert jobs.cancel(api.url, "job_1", as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"id": "job_1", "status": "cancelled"}


def test_no_jobs_are_no_table(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert jobs.show_list(api.url, None, "nobody", 5, as_json=False) == 0
    assert capsys.readouterr().out == "No such jobs.\n"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("localhost:8077", "http://localhost:8077"),
        ("10.0.0.5", "http://10.0.0.5"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("https://fleet.example.org/base", "https://fleet.example.org/base"),
    ],
)
def test_an_address_without_a_scheme_is_http(typed: str, meant: str) -> None:
    assert address(typed) == meant


@pytest.mark.parametrize("typed", ["", "http://", "ftp://host", ":8000", "host:port", "a b"])
def test_what_is_no_address_is_told_how_one_looks(typed: str) -> None:
    with pytest.raises(ConfigError, match="give an address such as http://"):
        address(typed)


def test_the_address_is_the_named_one_or_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_API__PORT", "8123")
    monkeypatch.setenv("FLEET_API__KEY", "k-9")
    assert find_api(None, tmp_path) == ("http://127.0.0.1:8123", "k-9")
    assert find_api("http://10.0.0.5:80/", tmp_path) == ("http://10.0.0.5:80", "k-9")
    monkeypatch.setenv("FLEET_KEY", "mine")
    assert find_api(None, tmp_path) == ("http://127.0.0.1:8123", "mine")
