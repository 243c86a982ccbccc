"""What of a request was passed over, as the head of the answer names it. Pure."""

import re
from collections.abc import Iterable

HEADER = "x-fleet-ignored"
#: Names in one head, and characters of one name.
NAMES_MOST, CHARS_MOST = 20, 64
_NOT_FOR_A_HEAD = re.compile(r"[^!-+\--~]")


def naming(names: Iterable[str]) -> dict[str, str]:
    """The header that names these fields, each once; none if there are none."""
    shown = [_NOT_FOR_A_HEAD.sub("?", name)[:CHARS_MOST] for name in dict.fromkeys(names)]
    return {HEADER: ", ".join(shown[:NAMES_MOST])} if shown else {}
