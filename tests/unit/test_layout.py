"""The shape of the distribution: names, doors, what travels with it."""

import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

from fleet.scripts import _FOLDER
from tests.support import ROOT

ROOMS = ("api", "cli", "fleet", "router", "workers")


@pytest.mark.parametrize("room", ROOMS)
def test_no_installed_distribution_owns_our_top_level_names(room: str) -> None:
    owners = set(packages_distributions().get(room, []))
    assert owners <= {"chat-fleet"}


def test_every_script_is_loaded_by_name_and_none_lies_about() -> None:
    from fleet import scripts

    shared = {"prelude", "sharing", "money"}
    loaded = {value.source for value in vars(scripts).values() if isinstance(value, scripts.Script)}
    files = {path for path in _FOLDER.glob("*.lua") if path.stem not in shared}
    assert len(files) == len(loaded)


def test_the_command_answers_without_the_heavy_imports() -> None:
    code = (
        "import sys, cli.main;"
        "heavy = {'celery', 'fastapi', 'redis', 'anthropic', 'uvicorn'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_an_api_without_embedding_models_does_without_a_client_for_http() -> None:
    code = "import sys, api.app; assert 'httpx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
