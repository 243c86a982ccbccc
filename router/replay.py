"""A conversation decided turn by turn, as a router would have decided it. Pure.

Each of the user's turns is decided with what the decision before it has left in memory. The
time is that of the last turn alone: the turns before it were decided when they came.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import HttpUrl

from fleet.catalogue import Catalogue, Model
from fleet.decision import Decision, Memory
from fleet.waits import AUTO
from router import policy, signals
from router.conversation import Conversation
from router.policy import Setting
from router.signals import Signals
from router.verdict import Verdict

#: What a classifier does.
Classify = Callable[[Conversation], Verdict]
#: More than any conversation has.
_ENDLESS = 10**9


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: what was seen and said, remembered and decided."""

    seen: Signals
    #: None where the caller named a model or a route.
    verdict: Verdict | None
    decision: Decision
    #: What the turns before it had left.
    memory: Memory | None
    took_ms: float


def replay(
    classify: Classify,
    request: Mapping[str, Any],
    setting: Setting,
    *,
    asked_model: str = AUTO,
    remembers: bool = True,
) -> list[Turn]:
    """Decide each of the user's turns of a request, and the request as it stands.

    `asked_model` is what the caller names with the last one. With `remembers` false, every
    turn is decided alone.

    Raises:
        InvalidRequest: the caller named a model that is unknown or disabled.
        ConfigError: no model is enabled.
    """
    messages: Sequence[Mapping[str, Any]] = request.get("messages") or ()
    *earlier, _ = Conversation.of(messages).until_each_user_turn()
    turns: list[Turn] = []
    memory = None
    for part in earlier if remembers else ():
        so_far = {**request, "messages": messages[: len(part.turns)]}
        turns.append(decide(classify, so_far, replace(setting, memory=memory)))
        memory = _left_by(turns[-1].decision)
    turns.append(decide(classify, request, replace(setting, memory=memory), asked_model))
    return turns


def decide(
    classify: Classify, request: Mapping[str, Any], setting: Setting, asked_model: str = AUTO
) -> Turn:
    """Decide a request as it stands.

    Raises:
        InvalidRequest: the caller named a model that is unknown or disabled.
        ConfigError: no model is enabled.
    """
    began = time.perf_counter()
    seen = signals.read(asked_model, request)
    verdict = classify(seen.conversation) if policy.needs_verdict(seen) else None
    if verdict is None:
        setting = replace(setting, memory=None)
    decision = policy.decide(seen, verdict, setting)
    took_ms = (time.perf_counter() - began) * 1000
    return Turn(seen, verdict, decision, setting.memory, took_ms)


def every_route(routes: Iterable[str]) -> Catalogue:
    """A catalogue in which each route has a model that holds anything."""
    address = HttpUrl("http://127.0.0.1")
    return Catalogue(
        tuple(
            Model(name=f"model-{n}", url=address, roles=(route,), context=_ENDLESS)
            for n, route in enumerate(dict.fromkeys(routes))
        )
    )


def _left_by(decision: Decision) -> Memory:
    return Memory(decision.route, decision.model, decision.confidence, decision.held, at=0)
