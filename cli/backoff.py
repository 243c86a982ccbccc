"""How long to wait before a process that died is started again. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Doubles the pause with each death in a row; a long life makes it forget."""

    first_s: float = 0.5
    ceiling_s: float = 30.0
    #: A process that lived for so long had started well: its death is a new story.
    calm_s: float = 60.0
    #: Deaths in a row so far.
    deaths: int = 0

    def after(self, alive_s: float) -> float:
        """The pause before the next start, after a process that lived for `alive_s`."""
        if alive_s >= self.calm_s:
            self.deaths = 0
        pause = min(self.first_s * 2.0**self.deaths, self.ceiling_s)
        self.deaths += 1
        return pause
