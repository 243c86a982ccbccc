"""`fleet report`: what is drawn, and where weights are looked for."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.report.comparison import Facts, comparison
from cli.report.drawn import drawn
from cli.report.run import facts_of
from cli.weights import download_target, present
from cli.wording import dollars, stars
from fleet.catalogue import Price
from fleet.comparison import Reference
from fleet.rows import Undecided
from fleet.settings import load
from router.work import Work, work
from tests.unit.decision_rows import outcome, row, said

REFERENCE = Reference("claude", Price(input=1.0, output=10.0))
FACTS = Facts(("fast", "tool"), ("claude",), 23_400_000_000)


def worked(*jobs: Any) -> Work:
    return work(jobs, REFERENCE, {"claude"}, now_ms=1)


def text_of(found: Work, facts: Facts = FACTS) -> str:
    screen = Console(file=io.StringIO(), width=120)
    for part in drawn(found, facts, "24h"):
        screen.print(part)
    text: str = screen.file.getvalue()  # type: ignore[attr-defined]
    return re.sub(r" +", " ", text)


def test_the_report_is_drawn() -> None:
    text = text_of(
        worked(
            row(feedback=(said(None, 4),)),
            row(outcome=outcome(wait_ms=2_000, predicted_wait_ms=1_500)),
            row(outcome=outcome(model="claude", cost_usd=0.05)),
            Undecided("job_x", outcome(cache="hit")),
        )
    )
    for expected in (
        "4 jobs ended in the last 24h",
        "ALERT: external models answered 25.0%",
        "fast 2 50.0% 2.00 2.00 0.20 0.20 27",
        "★★★★☆ 4.0 (1)",
        "model cost at claude saved",
        "fast – $0.0012 $0.0012",
        "claude $0.0500 $0.0500 $0.00",
        "all $0.0500 $0.0518 $0.0018",
        "Models fast + tool + (claude) Llama 8B + Qwen 32B",
        "Memory 23.40 GB of weights 23 GB",
        "Avg response 2.00 s 4-6 s",
        "Quality ★★★★☆ 4.0 (1) ★★★★☆",
        "Cost $36.00/month, at the rate of the last 1.0 h $0/month",
        "External models: 25.0%, expected up to 1%: above",
        "Cache: hit 1 (25.0%), 100 tokens in and 50 out saved",
        "Predicted waits: off by 25.0% (median; jobs that waited 1 s or more: 1)",
    ):
        assert expected in text


def test_what_is_not_known_is_said_to_be() -> None:
    text = text_of(worked(row()), Facts(("fast",), (), None))
    for expected in (
        "Memory not known",
        "Quality no ratings yet",
        "Cost $0.00/month",
        "Cache: no answer came from one",
        "Predicted waits: no job with one waited 1 s or more",
    ):
        assert expected in text


def test_an_empty_report_says_so() -> None:
    assert text_of(worked()) == "No job has ended in the last 24h.\n"
    assert [line.here for line in comparison(worked(), FACTS)][2] == "–"


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (None, "–"),
        (0.0, "$0.00"),
        (0.0000123, "$0.000012"),
        (-0.00001, "-$0.000010"),
        (0.00126, "$0.0013"),
        (-0.5, "-$0.5000"),
        (1234.5, "$1,234.50"),
    ],
)
def test_dollars_are_legible(amount: float | None, shown: str) -> None:
    assert dollars(amount) == shown


@pytest.mark.parametrize(
    ("mean", "shown"), [(None, "–"), (1.0, "★☆☆☆☆ 1.0 (3)"), (4.6, "★★★★★ 4.6 (3)")]
)
def test_ratings_are_stars(mean: float | None, shown: str) -> None:
    assert stars(mean, 3) == shown


def test_weights_are_found_and_never_fetched(tmp_path: Path) -> None:
    config, address = tmp_path / "fleet.toml", "https://weights.invalid/a.gguf"
    assert present("a.gguf", config, tmp_path) is None
    assert present("package:no_such_package", config, tmp_path) is None
    assert present("package:no such", config, tmp_path) is None
    assert present(address, config, tmp_path) is None
    fetched = download_target(address, tmp_path)
    fetched.parent.mkdir(parents=True)
    for path in (tmp_path / "a.gguf", fetched):
        path.write_bytes(b"GGUF")
    assert present("a.gguf", config, tmp_path) == tmp_path / "a.gguf"
    assert present(address, config, tmp_path) == fetched


@pytest.mark.parametrize(
    ("second", "size"), [("a.gguf", 4), ("b.gguf", 9), ("nowhere.gguf", None), (None, None)]
)
def test_the_size_of_weights_is_known_where_all_of_them_lie_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: str | None, size: int | None
) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    (tmp_path / "b.gguf").write_bytes(b"GGUF2")
    entry = '[[models]]\nname = "{}"\nurl = "http://127.0.0.1:1"\n'
    served = '[models.server]\nweights = "{}"\n'
    config = tmp_path / "fleet.toml"
    config.write_text(
        entry.format("fast")
        + served.format("a.gguf")
        + entry.format("tool")
        + (served.format(second) if second else "")
        + '[[models]]\nname = "claude"\nkind = "anthropic"\nenabled = true\n'
    )
    monkeypatch.setenv("FLEET_CONFIG", str(config))
    monkeypatch.setenv("FLEET_HOME", str(tmp_path))
    assert facts_of(load(config)) == Facts(["fast", "tool"], ["claude"], size)
