"""The command line of `fleet route`. What it does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="What the router decided, and what came of it.", no_args_is_help=True)

Since = Annotated[str, typer.Option(help="How far back: 90s, 30m, 24h, 7d.")]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration (TOML).")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")]
Experiment = Annotated[str, typer.Argument(help="Name of an experiment in `[router]`.")]
Out = Annotated[Path | None, typer.Option(help="File to write; by default standard output.")]


@app.command()
def report(since: Since = "24h", as_json: Json = False, config: Config = None) -> None:
    """Show each route's share, times, fall-overs and misroutes, and what feedback suggests."""
    from cli.route.report import run

    run(config, _window(since), since, as_json)


@app.command()
def compare(
    experiment: Experiment, since: Since = "7d", as_json: Json = False, config: Config = None
) -> None:
    """Compare the arms of an experiment, and say what can be said of their differences."""
    from cli.route.compare import run

    run(config, experiment, _window(since), since, as_json)


@app.command()
def export(since: Since = "7d", out: Out = None, config: Config = None) -> None:
    """Write the rows of the decision log, one JSON object a line."""
    from cli.route.export import run

    run(config, _window(since), out)


def _window(since: str) -> int:
    from cli.route.since import milliseconds

    try:
        return milliseconds(since)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
