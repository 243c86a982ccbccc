"""`fleet route`: the commands on rows that are given to them, and what they draw."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from rich.console import Console, RenderableType
from typer.testing import CliRunner, Result

from cli import screen
from cli.main import app
from cli.route import compare as compare_command
from cli.route import reading
from cli.route import report as report_command
from cli.route.since import milliseconds
from fleet.errors import FleetFault, NotFound
from fleet.routing import Experiment
from fleet.rows import Row
from router.compare import compare
from router.report import report
from router.suggestions import Suggestion
from tests.unit.decision_rows import arm_rows, outcome, row, said, shadow

CONFIG = """
[[models]]
name = "fast"
url = "http://127.0.0.1:1"

[[models]]
name = "claude"
kind = "anthropic"

[[router.experiments]]
name = "heads"
arms = [{ name = "b" }, { name = "a", weight = 2.0 }]
"""

Fleet = Callable[..., Result]


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Calls the command with rows in place of Redis."""
    config = tmp_path / "fleet.toml"
    config.write_text(CONFIG, encoding="utf-8")
    monkeypatch.setenv("FLEET_CONFIG", str(config))
    wide = Console(width=160, highlight=False)
    for module in (screen, report_command, compare_command):
        monkeypatch.setattr(module, "out", wide)

    def call(rows: list[Row], *arguments: str) -> Result:
        monkeypatch.setattr(reading, "rows", lambda _settings, _window_ms: rows)
        monkeypatch.setattr(
            reading, "named_texts", lambda _settings, _window_ms: [("news", "tool")]
        )
        return CliRunner().invoke(app, ["route", *arguments, "--config", str(config)])

    return call


def drawn(*parts: RenderableType) -> str:
    screen = Console(file=io.StringIO(), width=160)
    for part in parts:
        screen.print(part)
    text: str = screen.file.getvalue()  # type: ignore[attr-defined]
    return re.sub(r" +", " ", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90_000), ("30m", 1_800_000), ("24h", 86_400_000), (" 7d ", 604_800_000)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, expected: int) -> None:
    assert milliseconds(text) == expected


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "1.5h", "0s", "1w", "1h30m", "٣h"])
def test_a_bad_duration_is_refused_with_good_ones(text: str, fleet: Fleet) -> None:
    with pytest.raises(ValueError, match="such as 90s, 30m, 24h or 7d"):
        milliseconds(text)
    refused = fleet([], "report", f"--since={text}")
    assert refused.exit_code == 2
    assert "--since" in refused.stderr


def test_the_report_is_drawn() -> None:
    rows = [row() for _ in range(7)]
    rows += [row(route="tool", feedback=(said("large", 2),)) for _ in range(3)]
    rows += [row(outcome=outcome(model="claude"), feedback=(said(rating=5),))]
    named = [("the news", "tool"), ("a poem", "tool"), ("the coast", "tool"), ("sums", "large")]
    text = drawn(*report_command.drawn(report(rows, named, external={"claude"}), "24h"))
    for expected in (
        "11 jobs in the last 24h",
        "ALERT: external models answered 9.1% of the jobs",
        "60%..80% within",
        "Average answer: 2.00 s, expected under 5 s: within",
        "External models: 9.1%, expected up to 1%: above",
        "Feedback: 4 jobs (36.4% of all), 3 of them misrouted (75.0%)",
        "★★☆☆☆ 2.0 (3)",
        "11 100.0%",
        '[[router.routes]]\nname = "tool"',
        "Examples for large: 1; a route needs 3",
    ):
        assert expected in text
    assert "cost" not in text
    priced = report([*rows, row(outcome=outcome(model="claude", cost_usd=0.00123))])
    times, work = report_command.figures_tables("model", priced.models)
    assert "first p50" in drawn(times)
    assert "$0.0012" in drawn(work)


def test_an_empty_report_says_so(fleet: Fleet) -> None:
    assert fleet([], "report").stdout == "No decisions in the last 24h.\n"


def test_the_report_as_json_is_one_object(fleet: Fleet) -> None:
    rows = [row(outcome=outcome(model="claude")), row()]
    told = json.loads(fleet(rows, "report", "--json").stdout)
    assert (told["jobs"], told["external_rate"]) == (2, 0.5)
    assert told["suggestions"][0]["examples"] == ["news"]


def test_the_comparison_is_drawn(fleet: Fleet) -> None:
    draw = Random(1)
    rows = arm_rows(draw, "a", 60) + arm_rows(draw, "b", 60, first_token_ms=600)
    rows += [row(experiment="heads", arm="a", shadows=(shadow("tool"),))]
    shown = fleet(rows, "compare", "heads").stdout
    assert shown.index(" b ") < shown.index(" a ") < shown.index("c (shadow)")
    assert "arm c would have changed: fast → tool 1" in shown
    assert re.search(
        r"arm a: first token \d+ ms faster than arm b \(95 % CI \d+\.\.\d+ ms\)", shown
    )
    assert "intervals of these sentences hold together with 95 % (Bonferroni)" in shown


def test_the_comparison_as_json_is_one_object(fleet: Fleet) -> None:
    told = json.loads(
        fleet([row(experiment="heads", arm="a")], "compare", "heads", "--json").stdout
    )
    assert (told["experiment"], told["by"]) == ("heads", "conversation")


def test_an_experiment_that_nobody_knows_is_named_with_those_that_are_known(fleet: Fleet) -> None:
    refused = fleet([row(experiment="old", arm="a")], "compare", "hats")
    assert isinstance(refused.exception, NotFound)
    assert refused.exception.message == (
        "there is no experiment 'hats'; in [router] there are: heads; "
        "in this part of the decision log: old"
    )


def test_an_experiment_that_the_file_has_no_more_is_compared_all_the_same() -> None:
    arms = [{"name": "a"}, {"name": "b"}]
    heads = Experiment.model_validate({"name": "heads", "by": "caller", "arms": arms})
    assert compare_command.find("heads", [heads], []) is heads
    assert compare_command.find("old", [heads], ["old"]) is None


def test_an_experiment_without_jobs_or_with_one_arm_says_so(fleet: Fleet) -> None:
    assert fleet([], "compare", "heads").stdout == "No job took part in heads in the last 7d.\n"
    alone = compare([row(experiment="heads", arm="a")], "heads")
    assert list(compare_command.verdict_lines(alone)) == [
        "There is one arm that decides, and nothing to compare it with."
    ]


def test_rows_are_exported_one_a_line(fleet: Fleet, tmp_path: Path) -> None:
    rows = [row(feedback=(said("tool"),), shadows=(shadow("tool"),)), row(outcome=None)]
    lines = fleet(rows, "export").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        json.loads(json.dumps(each.as_dict())) for each in rows
    ]
    file = tmp_path / "rows.jsonl"
    told = fleet(rows, "export", "--out", str(file))
    assert told.stdout == ""
    assert file.read_text(encoding="utf-8").splitlines() == lines


def test_a_file_that_cannot_be_written_is_named(fleet: Fleet, tmp_path: Path) -> None:
    refused = fleet([row()], "export", "--out", str(tmp_path))
    assert isinstance(refused.exception, FleetFault)
    assert refused.exception.message.startswith(f"--out: {tmp_path} cannot be written: ")


def test_examples_of_a_route_that_has_a_table_are_lines_to_add_to_it() -> None:
    suggestion = Suggestion("law", (), ("may I sublet", "who inherits", "is it void"))
    alone = "\n".join(report_command.suggestion_lines(suggestion))
    added = "\n".join(report_command.suggestion_lines(suggestion, has_table=True))
    assert "[[router.routes]]" in alone
    assert "[[router.routes]]" not in added
    assert '"may I sublet",' in added
