"""What is asked for, when, and what the answer must be. Pure."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: The same arrivals in every run, so that two runs can be compared.
SEED = 20_261_122
REAL_PROMPT = "Tell the story of a lighthouse keeper who finds a letter in a bottle."
#: Requests beyond this many times the wanted streams wait at the client.
HEADROOM = 4


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of request, sent many times."""

    prompt: str
    tokens: int
    #: The whole answer, where it is known: a stub's words.
    expected: str | None = None
    #: Seconds that one reply takes; 0: not known, or flat out.
    reply_s: float = 0.0

    def body(self, model: str) -> dict[str, Any]:
        """The fields that both ways have in common."""
        return {
            "model": model,
            "messages": [{"role": "user", "content": self.prompt}],
            "max_tokens": self.tokens,
            "temperature": 0,
        }

    def complaint(self, content: str) -> str:
        """What is wrong with an answer that came to its end; empty if nothing."""
        if self.expected is None:
            return "" if content else "the answer is empty"
        return "" if content == self.expected else difference(content, self.expected)


def stub_load(tokens: int, tps: float = 0.0, ttft_ms: float = 0.0) -> Load:
    """A load for a stub, which does what the prompt says; `tps` 0 is flat out."""
    directive = f"[[stub n={tokens} ttft={ttft_ms:g} tps={tps:g}]]"
    reply_s = ttft_ms / 1000 + ((tokens - 1) / tps if tps else 0.0)
    return Load(f"Count. {directive}", tokens, words(tokens), reply_s)


def real_load(tokens: int) -> Load:
    """A load for a real model, whose words and speed are its own."""
    return Load(REAL_PROMPT, tokens)


def words(count: int) -> str:
    """What a stub says."""
    return "".join(f" w{number}" for number in range(count))


def difference(content: str, expected: str) -> str:
    """How an answer differs from what the stub said: lost, doubled or out of order."""
    got, wanted = content.split(" ")[1:], expected.split(" ")[1:]
    at = next((i for i, (a, b) in enumerate(zip(got, wanted, strict=False)) if a != b), None)
    if at is not None:
        return f"word {at} is {got[at][:40]!r} instead of {wanted[at]!r}"
    if len(got) != len(wanted):
        return f"{len(got)} words instead of {len(wanted)}"
    return "the spaces between the words differ"


def arrivals(count: int, rate: float, seed: int = SEED) -> list[float]:
    """Seconds at which requests are sent: Poisson, so that they come in bunches too.

    An endless rate is a closed loop: all are there at once, and the cap lets them in.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable is what it must be
    moments, now = [], 0.0
    for _ in range(count):
        now += 0.0 if math.isinf(rate) else chance.expovariate(rate)
        moments.append(now)
    return moments


def shares(total: int, parts: int) -> list[int]:
    """A number of requests cut into rounds; never an empty round."""
    parts = max(1, min(parts, total))
    return [total // parts + (1 if part < total % parts else 0) for part in range(parts)]


def levels(text: str) -> Sequence[int]:
    """`8,32` as numbers.

    Raises:
        ValueError: it is something else.
    """
    counts = [int(part) for part in text.split(",")]
    if min(counts) < 1:
        raise ValueError(text)
    return counts
