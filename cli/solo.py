"""The settings of a role that runs alone, and how it finds the fleet that runs here."""

import os
from pathlib import Path

from cli.runstate import join_running
from cli.screen import err
from fleet import settings as configuration
from fleet.home import where
from fleet.settings import Settings


def settings_of_role(config: Path | None) -> tuple[Settings, bool]:
    """Settings by `--config`, else of the fleet that runs here, else as the environment says.

    The processes that the role becomes read the same ones: they are left in the environment.
    Gives also whether it joined a fleet, which has a process of this role already.
    """
    joined = False
    if config is not None:
        os.environ["FLEET_CONFIG"] = str(config.resolve())
    elif state := join_running(where(), os.environ):
        joined = True
        err.print(f"Joining the fleet at {state.api_url}", style="dim")
    return configuration.load(), joined
