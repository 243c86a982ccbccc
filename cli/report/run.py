"""Reads what `fleet report` shows."""

import os
from pathlib import Path

from rich.text import Text

from cli.report.comparison import Facts, comparison
from cli.report.drawn import drawn
from cli.route import reading
from cli.screen import out, print_json
from cli.solo import settings_of_role
from cli.weights import present
from fleet.home import where
from fleet.settings import Settings, find_config
from router.work import work


def run(config: Path | None, window_ms: int, since: str, as_json: bool) -> None:
    """Read, sum up, show."""
    settings = settings_of_role(config)[0]
    now_ms, jobs = reading.ended(settings, window_ms)
    external = {model.name for model in settings.models if model.external}
    found = work(jobs, settings.reference, external, now_ms)
    facts = facts_of(settings)
    if as_json:
        table = [line._asdict() for line in comparison(found, facts)]
        print_json(found.as_dict() | {"comparison": table})
        return
    for part in drawn(found, facts, since):
        out.print(part, soft_wrap=isinstance(part, Text))


def facts_of(settings: Settings) -> Facts:
    """The models, and how large the weights are that lie here."""
    models = settings.catalogue.enabled
    return Facts(
        local=[model.name for model in models if not model.external],
        external=[model.name for model in models if model.external],
        weights=_weights(settings),
    )


def _weights(settings: Settings) -> int | None:
    """Bytes of the files that the local models are loaded from; one that several load is
    mapped once. None: where one of them lies is not known here."""
    config, home = find_config(os.environ), where()
    servers = [model.server for model in settings.catalogue.enabled if not model.external]
    files = [present(server.weights, config, home) if server else None for server in servers]
    if not files or None in files:
        return None
    return sum(file.stat().st_size for file in set(files) if file)
