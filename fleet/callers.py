"""Who asks: the holder of a key, what the key allows, and what is left of it. Pure."""

import math
from dataclasses import dataclass

from fleet.errors import InvalidRequest, RateLimited, TooManyRequests, TooManyTokens

#: Who everybody is where no key is needed.
LOCAL = "local"
#: How `/health` says that a key is needed.
WITH_A_KEY = "with a key"
#: Who sends `[api] key`.
DEFAULT = "default"
#: Units of money in a US dollar: counted in whole ones, so that sums are exact.
NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key. A limit of 0 is none."""

    name: str
    #: Names of the models that may answer; empty: all of them.
    models: tuple[str, ...] = ()
    #: Requests and tokens in a minute.
    rpm: int = 0
    tpm: int = 0
    #: Jobs that have not ended, at once.
    concurrent: int = 0
    #: US dollars in a day, for models that have a price.
    budget_usd: float = 0.0
    #: Calls in a day of models that cost money.
    paid_calls: int = 0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller has left of its requests and tokens. Both fill up again in a minute,
    continuously; a limit of 0 is none.
    """

    rpm: int = 0
    tpm: int = 0
    requests: int = 0
    tokens: int = 0

    def headers(self) -> dict[str, str]:
        """What the head of an answer says of it, as OpenAI does."""
        limits = {"requests": (self.rpm, self.requests), "tokens": (self.tpm, self.tokens)}
        told = {}
        for what, (limit, left) in limits.items():
            if limit:
                full_in_s = 60 * (limit - left) / limit
                told[f"x-ratelimit-limit-{what}"] = str(limit)
                told[f"x-ratelimit-remaining-{what}"] = str(max(0, left))
                told[f"x-ratelimit-reset-{what}"] = duration(full_in_s)
        return told


#: Of a caller that has no limits.
UNLIMITED = Allowance()


def duration(seconds: float) -> str:
    """A time as OpenAI's headers write it: `120ms`, `1s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def refuse_what_never_fits(caller: Caller, tokens: int) -> None:
    """No waiting helps a request that is larger than a whole minute's tokens.

    Raises:
        InvalidRequest: it is.
    """
    if caller.tpm and tokens > caller.tpm:
        raise InvalidRequest(
            f"max_tokens: prompt and answer may take about {tokens} tokens, and this key has "
            f"{caller.tpm} in a minute; send less text, or a smaller max_tokens",
            param="max_tokens",
        )


def rate_limited(caller: Caller, what: str, wait_s: float, tokens: int) -> RateLimited:
    """The error for a request that comes too early; `what`: `requests` or `tokens`."""
    again = f"try again in {duration(wait_s)}"
    if what == "requests":
        return TooManyRequests(
            f"this key may make {caller.rpm} requests in a minute; {again}", retry_after_s=wait_s
        )
    return TooManyTokens(
        f"this key has {caller.tpm} tokens in a minute, and this request may take about "
        f"{tokens}; {again}",
        retry_after_s=wait_s,
    )
