"""`fleet bench` from its command line: the same load both ways, figures, nothing left."""

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.bench import drive
from cli.bench.crowd import Crowd
from cli.bench.drive import Level, compare
from cli.bench.figures import Tally
from cli.bench.load import Load, stub_load, words
from cli.bench.processes import Meter
from cli.bench.targets import Broken, Direct, Fleet
from tests.conftest import FakeLlama
from tests.support import start_process, stop_process, wait_for_line

ROLES = {"api", "router", "worker", "valkey"}


def bench(folder: Path, *options: str) -> tuple[int, str, str]:
    """Run the command; its exit status, and what it said."""
    said = folder / "stdout"
    with said.open("wb") as output, (folder / "stderr").open("wb") as errors:
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", "bench", *options],
            stdout=output,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            timeout=90,
            check=False,
        )
    return done.returncode, said.read_text(), (folder / "stderr").read_text()


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[str]:
    """The address of the bench's own stub."""
    log = tmp_path / "stub.log"
    process = start_process([sys.executable, "-m", "cli.bench.stub", "--port", "0"], log)
    port = wait_for_line(log, r"stub on 127\.0\.0\.1:(\d+)", process)[1]
    yield f"http://127.0.0.1:{port}"
    stop_process(process)


def test_a_small_bench_measures_both_ways_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    status, said, complained = bench(
        tmp_path,
        *("--start", "--stub", "--json", "--streams", "2", "--requests", "6", "--rounds", "2"),
        *("--tokens", "5", "--tps", "100", "--ttft-ms", "10", "--throughput", "--seconds", "0.5"),
    )
    assert status == 0, complained
    figures: dict[str, Any] = json.loads(said)
    assert set(figures) == {"machine", "levels", "throughput", "memory"}
    assert figures["machine"]["cpus"] >= 1
    (level,) = figures["levels"]
    assert (level["streams"], level["errors"]) == (2, 0)
    for way in ("direct", "fleet"):
        assert (level[way]["requests"], level[way]["lost"]) == (6, 0)
        assert 10 <= level[way]["ttft_ms"]["p50"] <= level[way]["ttft_ms"]["p99"] < 5_000
        assert level[way]["total_ms"]["p50"] >= 50
    assert level["added_ms"]["p50"] > 0
    assert set(level["cpu_ms_per_job"]) == set(figures["memory"]) == ROLES
    assert all(cost > 0 for cost in level["cpu_ms_per_job"].values())
    assert all(m["idle_mb"] > 1 and m["after_mb"] > 1 for m in figures["memory"].values())
    assert figures["throughput"]["errors"] == 0
    assert figures["throughput"]["one_token_jobs_per_s"] > 1
    assert figures["throughput"]["tokens_per_s"] > 100
    assert not list(tmp_path.glob("fleet-bench-*"))


def test_idle_readers_are_counted_weighed_and_held_against_the_time_without_them(
    tmp_path: Path,
) -> None:
    status, said, complained = bench(
        tmp_path,
        *("--start", "--stub", "--json", "--followers", "50", "--streams", "2"),
        *("--requests", "4", "--tokens", "5", "--tps", "100", "--ttft-ms", "10"),
    )
    assert status == 0, complained
    figures: dict[str, Any] = json.loads(said)
    assert set(figures) == {"machine", "followers"}
    crowd = figures["followers"]
    assert (crowd["count"], crowd["lost"]) == (50, 0)
    assert set(crowd["memory"]) == ROLES
    api = crowd["memory"]["api"]
    assert api["with_mb"] > api["before_mb"] > 1
    assert crowd["added_mb"] == pytest.approx(api["with_mb"] - api["before_mb"], abs=0.11)
    (level,) = crowd["levels"]
    assert (level["without"]["requests"], level["with"]["requests"]) == (8, 4)
    assert level["errors"] == 0
    assert level["ratio"] > 0


async def test_a_reader_that_cannot_stay_is_told_of(liar: Callable[[bytes], str]) -> None:
    busy = b"HTTP/1.1 503 Oh\r\nContent-Length: 4\r\n\r\nfull"
    crowd = Crowd(Fleet(liar(busy), "", "still"))
    with pytest.raises(Broken, match="HTTP 503: full"):
        await crowd.come(1)
    assert crowd.lost == 1
    await crowd.leave()


def test_a_model_server_that_is_not_there_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        status, said, complained = bench(tmp_path, "--start", "--upstream", url)
    assert (status, said) == (2, "")
    assert f"no model server answers at {url}/health" in complained


def test_levels_that_are_none_are_refused(tmp_path: Path) -> None:
    status, _, complained = bench(tmp_path, "--start", "--stub", "--streams", "many")
    assert status == 2
    assert re.search("numbers from 1", complained)


async def test_the_stub_keeps_its_schedule(stub: str) -> None:
    load = stub_load(10, tps=100, ttft_ms=30)
    sample = await Direct(stub, "m").ask(load)
    assert sample.error == ""
    # It must never be early; how late it is depends on what else this machine does.
    assert sample.moments_ms[0] >= 30
    assert sample.moments_ms[-1] >= 120
    assert sample.total_ms < 2_000


async def test_both_ways_get_the_same_number_of_requests_in_turn(stub: str) -> None:
    asked: list[str] = []

    class Way(Direct):
        def __init__(self, name: str) -> None:
            super().__init__(stub, "m")
            self.name = name

        async def ask(self, load: Any) -> Any:
            asked.append(self.name)
            return await super().ask(load)

    level = Level(streams=1, requests=6, rounds=3)
    tallies = await compare(Way("a"), Way("b"), stub_load(2), level, Meter())
    assert [len(tally.samples) for tally in tallies] == [6, 6]
    assert "".join(asked) == "ab" + "aabb" + "bbaa" + "aabb"
    assert all(isinstance(tally, Tally) and not tally.errors for tally in tallies)


@pytest.mark.parametrize("order", ["cut=3", "noend=1", "stall=0"])
async def test_an_answer_without_its_end_is_lost(
    fake_llama: FakeLlama, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr(drive, "PATIENCE_S", 0.5)
    load = Load(f"[[fake n=5 {order}]]", 5, words(5))
    sample = await drive.patiently(Direct(fake_llama("fast").url, "fast"), load)
    assert sample.error


@pytest.fixture
def liar() -> Iterator[Callable[[bytes], str]]:
    """Starts a server that says the same bytes to everyone."""
    listening: list[socket.socket] = []

    def start(answer: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65_536)
                client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield start
    for server in listening:
        server.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"SSH-2.0-something\r\n", "no HTTP"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\nbusy", "HTTP 500: busy"),
        (b"", "cut"),
    ],
)
async def test_what_a_server_did_wrong_is_told(
    liar: Callable[[bytes], str], answer: bytes, error: str
) -> None:
    sample = await Direct(liar(answer), "m").ask(stub_load(1))
    assert error in sample.error


def test_predicted_waits_come_true_within_bounds_that_a_busy_machine_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    status, said, complained = bench(
        tmp_path, "--start", "--stub", "--waits", "--requests", "90", "--slots", "2", "--json"
    )
    assert status == 0, complained
    told = json.loads(said)["waits"]
    assert told["all"]["jobs"] == 90
    for when in ("posted", "routed"):
        assert told["all"][when]["predicted"] > 30
        assert told["all"][when]["median"] < 0.5  # on an idle machine, with more jobs: about 0.2
