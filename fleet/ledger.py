"""The ledger: every job's record and log in Redis, moved only by the scripts in `lua/`."""

from fleet.errors import ConfigError
from fleet.line import Line
from fleet.moves.notes import Notes
from fleet.moves.posts import Posts
from fleet.moves.routes import Routes
from fleet.moves.runs import Runs
from fleet.settings import Settings


def connect(settings: Settings, **patience: float) -> Line:
    """The line to the store; `patience` as `Line` takes it.

    Raises:
        ConfigError: `redis_url` is not an address.
    """
    try:
        return Line(settings.redis_url, **patience)
    except ValueError as error:
        raise ConfigError(f"redis_url: {error}") from None


class Ledger(Posts, Routes, Runs, Notes):
    """Every move of a job. Each is one script, one round trip."""
