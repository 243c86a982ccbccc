import itertools
import json
import math
import tomllib
from pathlib import Path

import pytest

from cli.bench.crowd import HELD, make_room
from cli.bench.figures import (
    Sample,
    Tally,
    count_errors,
    crowd_figures,
    level_figures,
    spread,
    throughput_figures,
)
from cli.bench.load import arrivals, difference, levels, real_load, shares, stub_load, words
from cli.bench.private import config_text, forget_other_fleets, still_text
from cli.bench.processes import clock_seconds
from cli.bench.stub import orders_of
from fleet.errors import ConfigError
from fleet.settings import load as load_settings
from router.intervals import percentile


def samples(*first_ms: float, error: str = "") -> list[Sample]:
    return [Sample((first, first + 20), first + 30, 2, error) for first in first_ms]


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50), (95, 95), (99, 99), (100, 100), (1, 1), (0, 1)]
)
def test_a_percentile_is_a_value_that_was_measured(percent: float, expected: float) -> None:
    assert percentile([float(v) for v in range(100, 0, -1)], percent) == expected


def test_nothing_measured_is_null_and_not_zero() -> None:
    assert math.isnan(percentile([], 50))
    assert spread([]) == {"p50": None, "p95": None, "p99": None}


def test_arrivals_are_the_same_in_every_run_and_come_at_the_wanted_rate() -> None:
    moments = arrivals(4_000, rate=8.0, seed=1)
    assert moments == arrivals(4_000, rate=8.0, seed=1)
    assert moments != arrivals(4_000, rate=8.0, seed=2)
    assert moments == sorted(moments)
    assert moments[-1] == pytest.approx(500, rel=0.1)


def test_poisson_arrivals_vary_as_much_as_they_should() -> None:
    moments = arrivals(4_000, rate=1.0)
    gaps = [b - a for a, b in itertools.pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert variance == pytest.approx(mean**2, rel=0.15)


def test_in_a_closed_loop_all_are_there_at_once() -> None:
    assert arrivals(3, math.inf) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("total", "parts", "expected"), [(10, 3, [4, 3, 3]), (2, 3, [1, 1]), (1, 1, [1])]
)
def test_requests_are_cut_into_rounds_and_none_is_empty(
    total: int, parts: int, expected: list[int]
) -> None:
    assert shares(total, parts) == expected


def test_levels_are_numbers_from_one() -> None:
    assert levels("8, 32") == [8, 32]
    for wrong in ("", "8,", "x", "0", "8,-1"):
        with pytest.raises(ValueError):
            levels(wrong)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (" w0 w1 w2 w3", ""),
        (" w0 w1 w2", "3 words instead of 4"),
        (" w0 w1 w2 w3 w4", "5 words instead of 4"),
        (" w0 w2 w1 w3", "word 1 is 'w2' instead of 'w1'"),
        (" w0 w1 w1 w2 w3", "word 2 is 'w1' instead of 'w2'"),
        ("w0 w1 w2 w3", "word 0 is 'w1' instead of 'w0'"),
        ("x w0 w1 w2 w3", "the spaces between the words differ"),
        ("", "0 words instead of 4"),
    ],
)
def test_lost_doubled_and_reordered_words_are_found(content: str, complaint: str) -> None:
    assert stub_load(4).complaint(content) == complaint


def test_a_difference_in_a_long_answer_names_the_first_wrong_word() -> None:
    content = words(500).replace(" w417", "")
    assert difference(content, words(500)) == "word 417 is 'w418' instead of 'w417'"


def test_of_a_real_model_only_silence_is_wrong() -> None:
    assert real_load(10).complaint("Once upon a time") == ""
    assert real_load(10).complaint("") == "the answer is empty"


def test_a_level_says_what_the_fleet_adds_and_what_each_process_took() -> None:
    direct = Tally(samples(20, 21, 22, 23), elapsed_s=2.0, client_s=0.004)
    fleet = Tally(samples(23, 24.5, 26, 30), 2.0, 0.008, {"worker": 0.012, "api": 0.02})
    fleet.add(Tally(samples(1, error="cut"), 1.0))
    figures = level_figures(8, direct, fleet)
    assert figures["direct"]["ttft_ms"] == {"p50": 21, "p95": 23, "p99": 23}
    assert figures["added_ms"] == {"p50": 3.5, "p95": 7}
    assert figures["direct"]["gap_ms"]["p50"] == 20
    assert figures["direct"]["jobs_per_s"] == 2.0
    assert figures["fleet"]["lost"] == figures["errors"] == 1
    assert figures["cpu_ms_per_job"] == {"api": 4.0, "worker": 2.4}


def test_a_level_of_which_nothing_came_back_has_figures_too() -> None:
    lost = Tally(samples(1, error="cut"), 1.0)
    figures = level_figures(1, lost, lost)
    assert figures["added_ms"] == {"p50": None, "p95": None}
    assert "NaN" not in json.dumps(figures)
    assert count_errors({"levels": [figures], "throughput": None}) == 2


def test_throughput_counts_whole_answers_only() -> None:
    one = Tally(samples(1, 2, 3) + samples(4, error="cut"), elapsed_s=1.5, cpu_s={"api": 0.008})
    figures = throughput_figures(one, Tally(samples(1, 2), elapsed_s=0.5))
    assert (figures["one_token_jobs_per_s"], figures["tokens_per_s"]) == (2.0, 8)
    assert figures["cpu_ms_per_one_token_job"] == {"api": 2.0}
    assert count_errors({"levels": [], "throughput": figures}) == 1


def test_what_idle_readers_cost_others_is_the_ratio_of_the_median_first_tokens() -> None:
    without, among = (
        Tally(samples(10, 20, 30)),
        Tally(samples(25, 30, 99) + samples(1, error="cut")),
    )
    figures = crowd_figures(8, without, among)
    assert (figures["ratio"], figures["errors"]) == (1.5, 1)
    assert crowd_figures(8, without, Tally())["ratio"] is None
    assert count_errors({"followers": {"lost": 2, "levels": [figures]}}) == 3


def test_what_idle_readers_wait_for_takes_the_stub_longer_than_any_measurement() -> None:
    assert orders_of(HELD.prompt.encode()).due(0) == 900


def test_more_readers_than_the_machine_has_files_for_are_refused() -> None:
    with pytest.raises(ConfigError, match="ulimit -Hn"):
        make_room(10**12)


def test_jobs_that_stand_still_have_a_model_and_room_of_their_own(tmp_path: Path) -> None:
    config = tmp_path / "fleet.toml"
    url = "http://127.0.0.1:9190"
    config.write_text(config_text(url, 256) + still_text(url, 5_000))
    settings = load_settings(config)
    assert [(model.name, model.slots) for model in settings.models] == [
        ("bench", 256),
        ("still", 1),
    ]
    assert settings.limits.queue_jobs == settings.limits.caller_jobs == 6_000


def test_the_private_fleet_has_one_model_on_the_given_server(tmp_path: Path) -> None:
    text = config_text("http://127.0.0.1:9190", 256)
    assert tomllib.loads(text)["api"] == {"port": 0}
    config = tmp_path / "fleet.toml"
    config.write_text(text)
    (model,) = load_settings(config).models
    assert (model.name, model.base_url, model.slots) == ("bench", "http://127.0.0.1:9190", 256)


def test_the_private_fleet_hears_of_no_other_one() -> None:
    environ = {
        "FLEET_REDIS_URL": "redis://10.0.0.1",
        "FLEET_CONFIG": "/etc/fleet.toml",
        "FLEET_HOME": "/var/fleet",
        "FLEET_MODELS__FAST__URL": "http://10.0.0.2",
        "FLEET_API__PORT": "80",
        "FLEET_LOG_LEVEL": "warning",
        "PATH": "/bin",
    }
    forget_other_fleets(environ)
    assert environ == {"FLEET_LOG_LEVEL": "warning", "PATH": "/bin"}


@pytest.mark.parametrize(
    ("text", "seconds"), [("0:01.25", 1.25), ("2:03", 123), ("1:00:00.5", 3600.5)]
)
def test_the_time_that_ps_shows_is_read(text: str, seconds: float) -> None:
    assert clock_seconds(text) == seconds
