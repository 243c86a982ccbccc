"""The days of a time zone, as numbers: whole days since 1970-01-01 on its calendar. Pure."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_FIRST = date(1970, 1, 1)


class Zone:
    """One time zone. Times are milliseconds since 1970 in UTC, as Redis' clock has them."""

    def __init__(self, name: str) -> None:
        """
        Raises:
            ValueError: there is no zone of that name.
        """
        self.name = name
        try:
            self._info = UTC if name == "UTC" else ZoneInfo(name)
        except ZoneInfoNotFoundError as error:
            raise ValueError(str(error)) from None

    def offset_ms(self, at_ms: float) -> int:
        """What to add to a time so that whole days of it are days of this zone."""
        offset = self._local(at_ms).utcoffset() or timedelta()
        return round(offset.total_seconds() * 1000)

    def day(self, at_ms: float) -> int:
        """The number of the day that it is then."""
        return (self._local(at_ms).date() - _FIRST).days

    def left_s(self, at_ms: float) -> float:
        """Seconds until that day ends. One on which clocks are changed is longer, or shorter."""
        return max(0.0, (self._begin_ms(at_ms, days=1) - at_ms) / 1000)

    def part_over(self, at_ms: float) -> float:
        """How much of that day is over: 0 to 1."""
        begin, end = self._begin_ms(at_ms), self._begin_ms(at_ms, days=1)
        return min(1.0, max(0.0, (at_ms - begin) / (end - begin)))

    def _begin_ms(self, at_ms: float, days: int = 0) -> int:
        """When the day so many days after that one begins."""
        day = self._local(at_ms).date() + timedelta(days=days)
        return round(datetime.combine(day, clock(), self._info).timestamp() * 1000)

    def _local(self, at_ms: float) -> datetime:
        return datetime.fromtimestamp(at_ms / 1000, self._info)


def in_words(seconds: float) -> str:
    """A time until the end of a day: `12 h 36 min`."""
    minutes, hours = int(seconds // 60) % 60, int(seconds // 3600)
    if not hours:
        return f"{minutes} min" if minutes else f"{int(seconds)} s"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def date_of(day: int) -> date:
    """The date of a day's number."""
    return _FIRST + timedelta(days=day)


def month_until(day: int) -> range:
    """The days of that day's month up to itself."""
    return range(day - date_of(day).day + 1, day + 1)


def days_in_month(day: int) -> int:
    """How many days that day's month has."""
    return monthrange(date_of(day).year, date_of(day).month)[1]
