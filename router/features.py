"""What a learned head reads of a turn beside its embedding: yes/no signs and its length. Pure."""

import math
import re

from router.keywords import LONG_TOKENS, Reading

_DIGIT = re.compile(r"\d+")
_CODE_LINE = re.compile(r"```|[{};]\s*$", re.MULTILINE)
_URL = re.compile(r"https?://|www\.")
_FORMULA = re.compile(r"[=<>+^*/\\]")
_QUESTION = ("?", "？", "؟")
#: Characters that are looked at.
_LOOKED_AT = 4_000

#: The signs, in the order of `signs`. A head fitted for others is not used.
NAMES = (
    "present", "topic", "action", "reasoning", "mathematics", "makes", "plain",
    "makes_of_topic", "makes_by_action", "code", "creative",
    "length", "over_60_tokens", "long", "lines", "digits", "many_numbers",
    "code_lines", "question", "url", "formula",
)  # fmt: skip


def signs(turn: str, seen: Reading) -> list[float]:
    """One number for each of `NAMES`, from 0 to about 2."""
    text = turn[:_LOOKED_AT]
    numbers = _DIGIT.findall(text)
    found = (
        seen.present,
        seen.topic and not seen.makes,
        seen.action and not seen.makes,
        seen.reasoning,
        seen.mathematics,
        seen.makes,
        seen.plain,
        seen.topic and seen.makes,
        seen.action and seen.makes,
        seen.code,
        seen.creative,
        min(math.log1p(seen.tokens), 7.0) / 3,
        seen.tokens > LONG_TOKENS // 2,
        seen.tokens > LONG_TOKENS,
        "\n" in text.strip(),
        numbers,
        len(numbers) > 3,
        _CODE_LINE.search(text),
        text.rstrip().endswith(_QUESTION),
        _URL.search(text),
        _FORMULA.search(text),
    )
    return [one if isinstance(one, float) else float(bool(one)) for one in found]
