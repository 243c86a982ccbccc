"""What each process of the fleet is told, through its environment. Pure.

Secrets go to the one process that needs them: a provider's key to its worker,
the API's key to the API, what webhooks are signed with to those two
that sign and tell it. Model servers and Valkey get none of our variables.
"""

import re
from collections.abc import Iterable, Mapping

from fleet.catalogue import Model


def model_variable(name: str, key: str) -> str:
    """The variable that overrides one key of one model."""
    return f"FLEET_MODELS__{re.sub(r'[^A-Z0-9]', '_', name.upper())}__{key.upper()}"


def api_keys(environ: Iterable[str]) -> list[str]:
    """The names of the variables that hold the API's keys: its own, its callers', its watchers'."""
    ours = ("FLEET_API__KEY", "FLEET_API__HEALTH_KEY")
    return [name for name in environ if name.upper().startswith(ours)]


def webhook_keys(environ: Iterable[str]) -> list[str]:
    """The name of the variable that holds what webhooks are signed with, if it is set."""
    return [name for name in environ if name.upper() == "FLEET_WEBHOOKS__SECRET"]


def secrets(models: Iterable[Model], environ: Iterable[str]) -> frozenset[str]:
    """The names of the variables that hold keys."""
    provided = [model.api_key_env for model in models if model.api_key_env]
    return frozenset([*api_keys(environ), *webhook_keys(environ), *provided, "FLEET_KEY"])


def for_stranger(environ: Mapping[str, str], hidden: frozenset[str]) -> dict[str, str]:
    """For a program that is not ours: nothing of ours, and no key."""
    return {k: v for k, v in environ.items() if k not in hidden and not k.startswith("FLEET_")}


def for_ours(
    environ: Mapping[str, str],
    hidden: frozenset[str],
    shared: Mapping[str, str],
    needs: Iterable[str] = (),
) -> dict[str, str]:
    """For a process of ours: the shared settings, and the keys it needs."""
    kept = {k: v for k, v in environ.items() if k not in hidden}
    kept |= {k: environ[k] for k in needs if k in environ}
    # Its output is a pipe: without this Python would hold lines back.
    return kept | dict(shared) | {"PYTHONUNBUFFERED": "1"}
