"""Days of a time zone, caps, and where the month leads."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fleet.catalogue import Catalogue, Model
from fleet.settings import Settings
from fleet.spend.day import Zone, date_of, days_in_month, in_words, month_until
from fleet.spend.settings import Spend
from fleet.spend.sheet import ALL, Figures, Sheet, forecast_usd, of_model, total, used_up

NANO = 1_000_000_000
DAY_S = 86_400
BERLIN = Zone("Europe/Berlin")
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]


def ms(*when: int) -> float:
    return datetime(*when, tzinfo=UTC).timestamp() * 1000  # type: ignore[arg-type,misc]


@given(st.sampled_from(ZONES), st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)))
def test_the_scripts_and_the_calendar_count_the_same_days(name: str, when: datetime) -> None:
    zone, at_ms = Zone(name), when.replace(tzinfo=UTC).timestamp() * 1000
    assert zone.day(at_ms) == (at_ms + zone.offset_ms(at_ms)) // (1000 * DAY_S)
    assert 0 < zone.left_s(at_ms) <= 25 * 3600
    turned = at_ms + zone.left_s(at_ms) * 1000
    assert zone.day(turned) == zone.day(turned - 1) + 1 == zone.day(at_ms) + 1
    assert 0 <= zone.part_over(at_ms) < 1


def test_a_day_on_which_clocks_are_changed_is_shorter_or_longer() -> None:
    spring, autumn = ms(2026, 3, 28, 23), ms(2026, 10, 24, 22)  # midnight in Berlin
    assert BERLIN.left_s(spring) == 23 * 3600
    assert BERLIN.left_s(autumn) == 25 * 3600
    assert date_of(BERLIN.day(autumn)).isoformat() == "2026-10-25"
    assert BERLIN.day(autumn + 25 * 3600_000 - 1) == BERLIN.day(autumn)
    assert BERLIN.day(autumn - 1) == BERLIN.day(autumn) - 1


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.9, "59 s"), (61, "1 min"), (3_600, "1 h"), (90_000 - 1, "24 h 59 min")],
)
def test_the_time_until_midnight_is_said_as_people_do(seconds: float, said: str) -> None:
    assert in_words(seconds) == said


def test_a_month_is_that_of_the_zone() -> None:
    today = BERLIN.day(ms(2026, 2, 28, 23, 30))  # March there
    assert list(month_until(today)) == [today]
    assert days_in_month(today) == 31
    assert days_in_month(Zone("UTC").day(ms(2028, 2, 29))) == 29


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "/etc/passwd", "../x", "Europe"])
def test_a_zone_that_nobody_knows_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ValidationError, match=r"spend.time_zone\n.*is no time zone"):
        Settings(spend={"time_zone": name})


def test_the_forecast_is_the_mean_of_the_days_so_far() -> None:
    zone, spent = Zone("UTC"), Figures(nano=10 * NANO)
    assert forecast_usd(spent, zone, ms(2026, 11, 11)) == pytest.approx(30)
    assert forecast_usd(spent, zone, ms(2026, 11, 10, 12)) == pytest.approx(10 / 9.5 * 30)
    assert forecast_usd(spent, zone, ms(2026, 11, 1, 1)) is None
    assert forecast_usd(Figures(), zone, ms(2026, 11, 11)) == 0


def claude(**fields: object) -> Model:
    entry = {"name": "claude", "kind": "anthropic", "enabled": True, "calls_per_day": 3}
    return Model.model_validate({**entry, **fields})


@pytest.mark.parametrize(
    ("calls", "spent", "model", "spend", "reason"),
    [
        (2, 0, {}, {}, None),
        (3, 0, {}, {}, "the 3 calls of today (`calls_per_day` of 'claude') are used up"),
        (1, 2, {"usd_per_day": 2}, {}, "the $2 of today (`usd_per_day` of 'claude') are used up"),
        (1, 1, {"usd_per_day": 2}, {}, None),
        (1, 1, {}, {"usd_per_day": 1}, "the $1 of today ([spend] usd_per_day) are used up"),
        (1, 0, {}, {"calls_per_day": 1}, "the 1 calls of today ([spend] calls_per_day) are"),
        (9, 9, {"calls_per_day": 0}, {}, None),
    ],
)
def test_a_model_whose_caps_are_full_is_named_with_the_cap(
    calls: int, spent: int, model: dict[str, int], spend: dict[str, int], reason: str | None
) -> None:
    fast = Model.model_validate({"name": "fast", "url": "http://h"})
    half = NANO // 2  # of what is set aside
    figures = Figures(calls, spent * NANO - half if spent else 0, half if spent else 0)
    sheet = Sheet({ALL: figures, of_model("claude"): figures})
    shut = used_up(sheet, Catalogue((fast, claude(**model))), Spend.model_validate(spend))
    assert shut.keys() == ({"claude"} if reason else set())
    assert shut.get("claude", "").startswith(reason or "")


def test_a_page_is_read_back_and_pages_add_up() -> None:
    page = {"all:calls": "2", "all:nano": "5", "model:a.b:held": "7", "caller:bob:calls": "1"}
    sheet = Sheet.read(page)
    assert (sheet.models, sheet.callers) == (("a.b",), ("bob",))
    assert total([sheet, sheet])[ALL] == Figures(4, 10, 0)
    assert sheet[of_model("none")] == Figures()


def test_dollars_need_a_price() -> None:
    with pytest.raises(ValidationError, match="`usd_per_day` needs the `price`"):
        claude(model="claude-unheard-of", usd_per_day=1)
    assert claude(usd_per_day=1).usd_per_day == 1


def test_a_forecast_of_a_zone_counts_its_own_hours() -> None:
    noon = ms(2026, 10, 25, 11, 30)  # half of 25 hours are over in Berlin
    assert BERLIN.part_over(noon - timedelta(hours=1) / timedelta(milliseconds=1)) == (
        pytest.approx(0.5)
    )
