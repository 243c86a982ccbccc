"""What follows a try: the end, or a pause and the next one. Pure."""

from dataclasses import dataclass
from datetime import datetime

from fleet.retry_after import wished_s
from fleet.webhooks.settings import Webhooks

#: Each pause is so many times as long as the one before.
FACTOR = 5
#: Pauses differ by so much either way, so that what failed together does not come together.
JITTER = 0.2
GONE = 410
#: Statuses whose `Retry-After` is heard.
BUSY = (429, 503)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one try: a status, or an error that kept it from coming."""

    status: int = 0
    error: str = ""
    retry_after: str = ""

    @property
    def well(self) -> bool:
        """Whether the receiver has taken it."""
        return 200 <= self.status < 300


def pause_s(attempt: int, rules: Webhooks, draw: float) -> float:
    """Seconds between try number `attempt` (from 1) and the next; `draw` is from 0 to 1."""
    usual = min(rules.first_pause_s * float(FACTOR) ** (attempt - 1), rules.longest_pause_s)
    return usual * (1 + JITTER * (2 * draw - 1))


def next_try(
    attempt: int, answer: Answer, rules: Webhooks, draw: float, now: datetime
) -> float | None:
    """Seconds until the next try after one that failed; None: there is none."""
    if attempt >= rules.attempts or answer.status == GONE:
        return None
    pause = pause_s(attempt, rules, draw)
    if answer.status in BUSY:
        pause = max(pause, min(wished_s(answer.retry_after, now), rules.longest_pause_s))
    return pause
