"""What can go wrong at the command line, and the exit code of each."""

from typing import Any

from fleet.errors import ConfigError, FleetError, FleetFault, StoreUnavailable


class NoFleet(FleetFault):
    """No fleet answers."""

    code = "no_fleet"

    def __init__(self, url: str) -> None:
        super().__init__(f"No fleet answers at {url}. Start one with `fleet up`.")


class StartFailed(FleetFault):
    """A process of the fleet did not start."""

    code = "start_failed"


class AlreadyRunning(FleetFault):
    """A fleet runs already."""

    code = "already_running"


class ApiError(FleetError):
    """The API refused the request."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("message") or f"The API answered {status}."))
        self.http_status = status
        self.error = error


def exit_code(error: FleetError) -> int:
    """2: the configuration is wrong; 3: nobody there; 1: anything else."""
    if isinstance(error, ConfigError):
        return 2
    return 3 if isinstance(error, NoFleet) else 1


def told(error: FleetError) -> str:
    """What is shown of it: where Redis cannot be reached, with what to look at. Pure."""
    away = isinstance(error, StoreUnavailable) and "not answer" in error.message
    hint = ". Is the fleet up (`fleet up`), or is `redis_url` (FLEET_REDIS_URL) another?"
    return error.message.rstrip(".") + hint if away else error.message
