"""Who asks: the holder of a key, and what the key allows. Pure."""

from dataclasses import dataclass

#: Who everybody is where no key is needed.
LOCAL = "local"


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
