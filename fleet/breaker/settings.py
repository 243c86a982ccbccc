"""`[breaker]`: when a model's server is left alone, and for how long."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from fleet.breaker.machine import Rules
from fleet.catalogue import Strict

Pause = Annotated[float, Field(ge=0.05, le=86_400)]


class Breaker(Strict):
    """When a model's server is left alone, and for how long. See docs/reliability.md."""

    enabled: bool = True
    #: Failures one after the other that open it.
    failures: Annotated[int, Field(ge=1, le=1_000)] = 3
    #: … or this share of failures among the last `window` answers, if there are `fewest`.
    error_rate: Annotated[float, Field(gt=0, le=1)] = 0.5
    window: Annotated[int, Field(ge=1, le=1_000)] = 20
    fewest: Annotated[int, Field(ge=1, le=1_000)] = 10
    #: Pause before the server is asked again; each next one is twice as long, up to the longest.
    first_pause_s: Pause = 1.0
    longest_pause_s: Pause = 30.0
    #: The longest pause that a provider may wish for (`Retry-After`), and the one after it has
    #: refused our key, our account or the model.
    longest_wish_s: Pause = 300.0
    #: How long a job waits for models of which none is asked, before it fails.
    patience_s: Annotated[float, Field(ge=0)] = 30.0

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        for what in ("failures", "fewest"):
            if getattr(self, what) > self.window:
                raise ValueError(f"`{what}` must not be more than `window`, which is {self.window}")
        if self.longest_pause_s < self.first_pause_s:
            raise ValueError("`longest_pause_s` must not be shorter than `first_pause_s`")
        return self

    @property
    def rules(self) -> Rules:
        """The same as the machine reads it."""
        return Rules(
            self.failures,
            self.error_rate,
            self.window,
            self.fewest,
            int(self.first_pause_s * 1000),
            int(self.longest_pause_s * 1000),
            int(self.longest_wish_s * 1000),
        )
