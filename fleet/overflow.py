"""`[overflow]`: what becomes of a job whose model would keep it waiting for long. Pure."""

from typing import Annotated, Literal

from pydantic import Field

from fleet.catalogue import Strict
from fleet.errors import TooBusy

#: Wait for the model; go to another one that is free; hear at once that it would take too long.
IfBusy = Literal["wait", "overflow", "reject"]
Bound = Annotated[float, Field(gt=0)]

#: Nobody is sent away for longer, seconds.
RETRY_MOST_S = 60.0


class OfRoute(Strict):
    """What is different for one route."""

    if_busy: IfBusy | None = None
    max_wait_s: Bound | None = None


class Patience(Strict):
    """What becomes of a job, and from which predicted wait on."""

    if_busy: IfBusy = "wait"
    #: Seconds that a job may be expected to wait for its model before it is too busy.
    max_wait_s: Bound = 30.0

    def of(self, if_busy: str, start_within_s: float | None) -> "Patience":
        """As one job has it: what it says itself counts, and it waits no longer than it may."""
        bound = min(self.max_wait_s, start_within_s or self.max_wait_s)
        return Patience.model_validate({"if_busy": if_busy or self.if_busy, "max_wait_s": bound})


class Overflow(Patience):
    """The table. See docs/overflow.md."""

    routes: dict[str, OfRoute] = Field(default={})

    def for_route(self, route: str) -> Patience:
        """How jobs of a route wait."""
        own = self.routes.get(route, OfRoute())
        return Patience(
            if_busy=own.if_busy or self.if_busy, max_wait_s=own.max_wait_s or self.max_wait_s
        )


def too_busy(wait_s: float, bound_s: float, model: str = "") -> TooBusy:
    """The error for a job that would wait for so long; with no model: for any."""
    who = f"{model!r}" if model else "every model that could answer"
    return TooBusy(
        f"{who} would keep it waiting {about(wait_s)}, longer than {bound_s:g} s; "
        "post it again later, or with if_busy = 'wait' or 'overflow'",
        retry_after_s=max(1.0, min(RETRY_MOST_S, wait_s - bound_s)),
    )


def about(wait_s: float) -> str:
    """A predicted wait in words: with a tenth where it is short."""
    return f"about {wait_s:.{1 if wait_s < 10 else 0}f} s"
