"""The header `Retry-After`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def wished_s(retry_after: str, now: datetime) -> float:
    """The seconds that a header `Retry-After` asks for, by number or by date; 0 if none."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds())


def wish_of(headers: Mapping[str, str]) -> float:
    """The same for the head of an answer that has come just now; names in lower case."""
    return wished_s(headers.get("retry-after", ""), datetime.now(UTC))
