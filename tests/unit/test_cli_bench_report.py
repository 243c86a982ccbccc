import asyncio
import io
import os
import sys
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from cli.bench import report, run
from cli.bench.figures import Sample, Tally, crowd_figures, level_figures
from cli.bench.processes import Meter
from cli.bench.run import Wanted
from fleet.errors import ConfigError

WANTED = Wanted(
    upstream=None,
    api=None,
    stub=True,
    start=True,
    slots=None,
    streams=(8,),
    tokens=50,
    tps=50.0,
    ttft_ms=20.0,
    requests=None,
    rounds=3,
    real=False,
    closed=False,
    throughput=False,
    seconds=5.0,
)


def level(streams: int = 8) -> dict[str, Any]:
    direct = Tally([Sample((20.0, 40.0), 41.0, 2)], 1.0, 0.001)
    fleet = Tally([Sample((22.5, 42.5), 44.0, 2)], 1.0, 0.002, {"api": 0.0027, "worker": 0.0028})
    return level_figures(streams, direct, fleet)


def drawn(figures: dict[str, Any]) -> str:
    screen = Console(file=io.StringIO(), width=100)
    screen.print(report.level_table(figures, WANTED.what))
    text: str = screen.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_the_table_shows_both_ways_and_the_difference() -> None:
    text = drawn(level())
    assert "8 streams, 50 tokens at 50/s, the first after 20 ms" in text
    rows = {cells[0]: cells[1:] for line in text.splitlines() if (cells := line.split())}
    assert rows["direct"][:3] == ["20.00", "20.00", "20.00"]
    assert rows["fleet"][:3] == ["22.50", "22.50", "22.50"]
    assert rows["added"] == ["+2.50", "+2.50"]
    assert "0 of 1" in text


def test_idle_readers_are_shown_with_what_each_of_them_costs() -> None:
    without = Tally([Sample((20.0, 40.0), 41.0, 2)], 1.0, 0.001, {"api": 0.002})
    among = Tally([Sample((25.0, 45.0), 46.0, 2)], 1.0, 0.001, {"api": 0.003})
    crowd = {
        "count": 1_024,
        "lost": 0,
        "came_s": 2.04,
        "memory": {"api": {"before_mb": 60.0, "with_mb": 90.0}},
        "added_mb": 30.0,
        "levels": [crowd_figures(8, without, among)],
    }
    screen = Console(file=io.StringIO(), width=100)
    screen.print(report.crowd_table(crowd["levels"][0], WANTED.what, 1_024))  # type: ignore[index]
    text: str = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "1,024 idle readers" in text
    rows = {cells[0]: cells[1:] for line in text.splitlines() if (cells := line.split())}
    assert (rows["without"][0], rows["with"][0], rows["ratio"]) == ("20.00", "25.00", ["1.25"])
    assert list(report.crowd_lines(crowd)) == [
        "CPU ms per job without them: api 2.00; together 2.00 ms",
        "CPU ms per job with them: api 3.00; together 3.00 ms",
        "Memory MB, without→with: api 60→90",
        "1,024 idle readers: +30.0 MB in the API (30 KiB each), 0 lost; they came within 2.0 s",
    ]


def test_the_table_of_a_level_that_failed_has_dashes() -> None:
    lost = Tally([Sample(error="cut")], 1.0)
    text = drawn(level_figures(2, lost, lost))
    assert "–" in text
    assert "1 of 1" in text


def test_the_lines_below_sum_up_what_each_process_took() -> None:
    figures = level()
    cpu = report.cpu_line("CPU ms per job", figures["cpu_ms_per_job"])
    assert cpu == "CPU ms per job: api 2.70, worker 2.80; together 5.50 ms"
    assert report.client_line(figures).endswith("direct 1.00, fleet 2.00")
    memory = {
        "api": {"idle_mb": 60.2, "after_mb": 70.4},
        "worker": {"idle_mb": 80.0, "after_mb": 90.0},
    }
    assert report.memory_line(memory) == (
        "Memory MB, idle→after: api 60→70, worker 80→90; together 140→160"
    )


def test_a_whole_run_is_one_line() -> None:
    throughput = {"one_token_jobs_per_s": 1318.4, "tokens_per_s": 239_095}
    figures = {"levels": [level(8), level(32)], "throughput": throughput}
    assert report.summary(figures) == (
        "8 streams: first token +2.50 ms p50, +2.50 ms p95, 0 errors; "
        "32 streams: first token +2.50 ms p50, +2.50 ms p95, 0 errors; "
        "1,318 one-token jobs/s, 239,095 tokens/s"
    )


def test_everything_is_shown_on_the_screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "out", Console(width=100))
    figures = {
        "levels": [level()],
        "throughput": {
            "one_token_jobs_per_s": 500.0,
            "tokens_per_s": 9000,
            "cpu_ms_per_one_token_job": {"api": 1.0},
        },
        "memory": {"api": {"idle_mb": 1.0, "after_mb": 2.0}},
    }
    run.show(figures, WANTED.what)
    said = capsys.readouterr().out
    for expected in ("together 5.50 ms", "One-token jobs: 500/s", "9,000 tokens/s", "api 1→2"):
        assert expected in said


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"start": False}, "--stub needs --start"),
        ({"real": True}, "--real"),
        ({"upstream": "http://127.0.0.1:1"}, "--upstream"),
        ({"api": "http://127.0.0.1:1"}, "--api"),
        ({"stub": False}, "--start needs a model server"),
        ({"stub": False, "upstream": "http://127.0.0.1:1", "followers": 9}, "--followers needs"),
        ({"followers": 9, "throughput": True}, "--throughput"),
        ({"followers": 9, "tokens": 1, "ttft_ms": 0.0}, "--tps"),
        ({"stub": False, "start": False, "real": True, "throughput": True}, "--throughput"),
    ],
)
def test_options_that_do_not_go_together_are_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        replace(WANTED, **changes).refuse_nonsense()


def test_a_real_models_load_carries_no_directive() -> None:
    wanted = replace(WANTED, real=True, stub=False)
    assert "[[stub" not in wanted.load.prompt
    assert wanted.what == "a real model, at most 50 tokens"


async def test_processor_time_and_memory_of_a_process_are_measured() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", busy),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    meter = Meter({"busy": process.pid, "this": os.getpid()})
    used, held = meter.cpu_s(), meter.memory_mb()
    await process.communicate(b"\n")
    assert 0.25 < used["busy"] < 1.0
    assert 1 < held["busy"] < 100
    assert held["this"] > held["busy"]
