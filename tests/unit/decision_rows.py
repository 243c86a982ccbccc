"""Rows of a decision log, made up for tests."""

from itertools import count
from random import Random
from typing import Any

from fleet.rows import Feedback, Outcome, Row, Shadow

_numbers = count(1)


def outcome(**changes: Any) -> Outcome:
    usual: dict[str, Any] = {
        "status": "completed",
        "model": "fast",
        "route": "fast",
        "wait_ms": 5,
        "first_token_ms": 200,
        "total_ms": 2_000,
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "attempt": 1,
        "failed_over": 0,
        "at": 1,
        "experiment": None,
        "arm": None,
    }
    return Outcome(**usual | changes)


def said(route: str | None = None, rating: int | None = None, at: int = 1) -> Feedback:
    return Feedback(route=route, rating=rating, comment="", at=at)


def shadow(route: str, arm: str = "c", experiment: str = "heads") -> Shadow:
    return Shadow(experiment, arm, route, 0.9, 1.0)


def row(**changes: Any) -> Row:
    number = next(_numbers)
    usual: dict[str, Any] = {
        "job": f"job_{number:032x}",
        "at": number,
        "caller": "local",
        "route": "fast",
        "model": "fast",
        "plan": ("fast", "tool"),
        "confidence": 0.8,
        "runner_up": "tool",
        "scores": {"fast": 0.8, "tool": 0.2},
        "reasons": ("because",),
        "classifier": "embedding",
        "version": "1",
        "domain": "general",
        "experiment": "",
        "arm": "",
        "took_ms": 1.5,
        "conversation": "",
        "outcome": outcome(),
    }
    return Row(**usual | changes)


def arm_rows(
    draw: Random,
    arm: str,
    talks: int,
    *,
    first_token_ms: float = 300.0,
    fall_overs: float = 0.05,
    wrong: float = 0.2,
    rated: float = 0.5,
) -> list[Row]:
    """The jobs of an arm of `heads`: conversations of several turns that resemble each other."""
    rows = []
    for talk in range(talks):
        own = draw.lognormvariate(0, 0.3)
        for _ in range(1 + int(draw.expovariate(0.5))):
            took = round(first_token_ms * own * draw.lognormvariate(0, 0.3))
            right = "tool" if draw.random() < wrong else None
            ended = outcome(
                first_token_ms=took,
                total_ms=took * 5,
                failed_over=int(draw.random() < fall_overs),
            )
            rows.append(
                row(
                    experiment="heads",
                    arm=arm,
                    conversation=f"{arm}-{talk}",
                    outcome=ended,
                    feedback=(said(right, 2 if right else 5),) if draw.random() < rated else (),
                )
            )
    return rows
