"""How far back to look: `90s`, `30m`, `24h`, `7d`. Pure."""

import re

_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SINCE = re.compile(r"([0-9]{1,6})([smhd])")


def milliseconds(text: str) -> int:
    """A duration in milliseconds.

    Raises:
        ValueError: it is none; the message says what one looks like.
    """
    found = _SINCE.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise ValueError(
            f"{text!r} is no duration; write a number from 1 and s, m, h or d, such as 90s, 30m, "
            "24h or 7d"
        )
    return int(found[1]) * _MS[found[2]]
