"""`FLEET_HOME`: where caches and state lie."""

import os
import sys
from pathlib import Path

from fleet.errors import ConfigError


def home() -> Path:
    """The folder for caches and state; made on first use, readable by its owner only.

    Raises:
        ConfigError: it cannot be made.
    """
    path = where()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder {path} cannot be made: {error.strerror}; set FLEET_HOME to another"
        ) from None
    return path


def where() -> Path:
    """The same folder, which may not be there yet."""
    return Path(os.environ.get("FLEET_HOME") or _platform_default())


def _platform_default() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "chat-fleet"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "chat-fleet"
