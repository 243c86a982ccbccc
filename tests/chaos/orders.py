"""What the load asks for: jobs drawn from a seed, with the answer that is right for each."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.chaos.history import Order

#: Tokens at least and at most, and tokens a second: many short answers, some long ones.
SIZES = ((5, 25, 200), (30, 70, 40), (90, 140, 40))
MODELS = ("fast", "tool", "auto")
PRIORITIES = (0, 3, 3, 3, 6, 9)


@dataclass(frozen=True)
class Mix:
    """How the jobs of a load are made up."""

    #: Weights of the `SIZES`.
    sizes: tuple[int, int, int] = (65, 25, 10)
    deadline_s: float = 45.0
    cancelled: float = 0.05
    hurried: float = 0.04
    capped: float = 0.05
    steady: float = 0.3
    erratic: float = 0.3
    #: Those whose end a webhook is told.
    webhooks: float = 0.3
    #: Those that somebody asks once more at once: one answer serves both, or each its own.
    doubled: float = 0.15


def words(count: int) -> str:
    """The fake model's answer of that many tokens."""
    return "".join(f" w{i}" for i in range(count))


def orders(seed: int, mix: Mix) -> Iterator[Order]:
    """Endless orders; the same seed and mix give the same ones."""
    rng = Random(f"orders {seed}")
    number = 0
    while True:
        order = _order(f"chaos-{seed}-{number}", number, rng, mix)
        number += 1
        if rng.random() >= mix.doubled:
            yield order
            continue
        order.body["temperature"] = 0  # else no answer is given twice
        yield replace(order, doubled=True)
        yield _again(f"chaos-{seed}-{number}", number, order, rng, mix)
        number += 1


def _again(key: str, number: int, order: Order, rng: Random, mix: Mix) -> Order:
    """The same question by somebody who has more time, and does not cancel."""
    body = order.body | {"priority": rng.choice(PRIORITIES), "metadata": {"key": key}}
    body.pop("deadline_s", None)
    return Order(
        number,
        key,
        body,
        order.text,
        mix.deadline_s,
        capped=order.capped,
        reader=_reader(rng, mix),
        webhook=rng.random() < mix.webhooks,
        doubled=True,
    )


def _reader(rng: Random, mix: Mix) -> str:
    weights = (mix.steady, mix.erratic, 1 - mix.steady - mix.erratic)
    return rng.choices(("steady", "erratic", ""), weights)[0]


def _order(key: str, number: int, rng: Random, mix: Mix) -> Order:
    least, most, tps = rng.choices(SIZES, mix.sizes)[0]
    tokens = rng.randint(least, most)
    fate = rng.random()
    cancelled = fate < mix.cancelled
    hurried = mix.cancelled <= fate < mix.cancelled + mix.hurried
    capped = 0 <= fate - mix.cancelled - mix.hurried < mix.capped
    if cancelled or hurried:  # long enough for the cancel or the deadline to meet it
        tokens, tps = rng.randint(60, 120), 40
    length = tokens // 2 if capped else tokens
    body: dict[str, Any] = {
        "message": f"Write number {number} [[fake n={tokens} tps={tps}]]",
        "model": rng.choice(MODELS),
        "priority": rng.choice(PRIORITIES),
        "metadata": {"key": key},
        **({"deadline_s": rng.choice((0.5, 1.0, 2.0))} if hurried else {}),
        **({"max_tokens": length} if capped else {}),
    }
    return Order(
        number,
        key,
        body,
        words(length),
        body.get("deadline_s", mix.deadline_s),
        hurried,
        capped,
        rng.uniform(0, 1.5) if cancelled else None,
        _reader(rng, mix),
        webhook=rng.random() < mix.webhooks,
    )
