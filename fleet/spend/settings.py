"""`[spend]`: when the day turns, and what all models that cost money may cost together."""

from typing import Annotated

from pydantic import Field, field_validator

from fleet.catalogue import CapUsd, Strict
from fleet.spend.day import Zone


class Spend(Strict):
    """Caps over all models that cost money. See docs/spend.md."""

    #: Whose midnight begins a new day, as the IANA names it: `Europe/Berlin`.
    time_zone: str = "UTC"
    #: Calls in a day of all these models together, beside their own `calls_per_day`; 0: no cap.
    calls_per_day: Annotated[int, Field(ge=0)] = 0
    #: US dollars in a day of all of them together, beside their own `usd_per_day`; 0: no cap.
    usd_per_day: CapUsd = 0.0

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            Zone(name)
        except (ValueError, OSError):  # a name, or a file, that is none
            raise ValueError(
                f"{name!r} is no time zone that this machine knows; use an IANA name such as "
                "UTC or Europe/Berlin (the names are those of the system's package tzdata)"
            ) from None
        return name

    @property
    def zone(self) -> Zone:
        """The zone whose days are counted."""
        return Zone(self.time_zone)
