"""`[webhooks]`: how deliveries are tried, and where they may go."""

from typing import Annotated

from pydantic import Field, FilePath, IPvAnyNetwork, field_validator

from fleet.catalogue import Strict

Positive = Annotated[float, Field(gt=0)]


SHORTEST_SECRET = 16


class Webhooks(Strict):
    """How deliveries are tried, and where they may go. See docs/webhooks.md."""

    #: From it each caller's signing secret is derived; empty: one that is kept in Redis.
    secret: str = Field(default="", repr=False)
    #: Tries of one delivery before it is given up; the defaults take about a day.
    attempts: Annotated[int, Field(ge=1, le=50)] = 10
    #: Pause after the first try; each next one is five times as long, up to the longest.
    first_pause_s: Positive = 5.0
    longest_pause_s: Annotated[float, Field(gt=0, le=86_400)] = 21_600.0
    #: For one try, from the look-up of the name to the head of the answer.
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    #: Tries that one process makes at once, and of these to one host.
    at_once: Annotated[int, Field(ge=1, le=1_000)] = 32
    per_host: Annotated[int, Field(ge=1, le=1_000)] = 8
    #: Deliveries of one caller that have not come to an end; more jobs with one get 429.
    pending: Annotated[int, Field(ge=1)] = 10_000
    #: Whether `http://` will do; what is sent is signed, but not hidden then.
    allow_http: bool = False
    #: Whether a receiver may be on this machine or in a private network.
    allow_private: bool = False
    #: Networks that are allowed whatever the rule says, such as `10.1.0.0/16`.
    allow: tuple[IPvAnyNetwork, ...] = ()
    #: Certificates of authorities to trust instead of the usual ones (PEM).
    ca_file: FilePath | None = None

    @field_validator("secret")
    @classmethod
    def _cannot_be_guessed(cls, secret: str) -> str:
        if secret and len(secret) < SHORTEST_SECRET:
            raise ValueError(
                f"must have at least {SHORTEST_SECRET} characters; make one with: "
                "openssl rand -hex 32"
            )
        return secret

    @property
    def lease_s(self) -> float:
        """After so long a try is taken for lost with its process."""
        return 2 * self.timeout_s + 10

    @property
    def keep_s(self) -> int:
        """Seconds in which all tries are over, however long their pauses become."""
        return int(self.attempts * (1.2 * self.longest_pause_s + self.lease_s)) + 3_600
