"""The command line of `fleet keys`. What it does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Who may ask, and how much.", no_args_is_help=True)

#: Of requests, tokens and jobs: beyond it no limit is meant, and numbers are not exact any more.
MOST = 1_000_000_000_000

Name = Annotated[str, typer.Argument(help="Name of the caller: 1 to 63 of a-z 0-9 . _ -")]
Models = Annotated[
    str,
    typer.Option(metavar="A,B", help="Models of the catalogue that may answer; by default all."),
]
Rpm = Annotated[int, typer.Option(min=0, max=MOST, help="Requests in a minute; 0: no limit.")]
Tpm = Annotated[int, typer.Option(min=0, max=MOST, help="Tokens in a minute; 0: no limit.")]
Concurrent = Annotated[
    int, typer.Option(min=0, max=MOST, help="Jobs at once; 0: `limits.caller_jobs`.")
]
Budget = Annotated[
    float, typer.Option(min=0, help="US dollars in a day for models with a price; 0: any.")
]
Calls = Annotated[
    int, typer.Option(min=0, max=MOST, help="Calls in a day of models that cost money; 0: any.")
]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration (TOML).")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


@app.command()
def create(
    name: Name,
    models: Models = "",
    rpm: Rpm = 0,
    tpm: Tpm = 0,
    concurrent: Concurrent = 0,
    budget: Budget = 0.0,
    calls: Calls = 0,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Make a key and show it, this once."""
    from cli.keys.holders import create
    from fleet.callers import Caller

    chosen = tuple(dict.fromkeys(model.strip() for model in models.split(",") if model.strip()))
    create(config, Caller(name, chosen, rpm, tpm, concurrent, budget, calls), as_json)


@app.command("list")
def show_list(as_json: Json = False, config: Config = None) -> None:
    """List the keys: names, limits, how each begins."""
    from cli.keys.holders import show_list

    show_list(config, as_json)


@app.command()
def show(name: Name, as_json: Json = False, config: Config = None) -> None:
    """Show what a key allows, and what is left of it now and today."""
    from cli.keys.holders import show

    show(config, name, as_json)


@app.command()
def revoke(name: Name, as_json: Json = False, config: Config = None) -> None:
    """Revoke a key: within a second it opens nothing any more. Its jobs stay."""
    from cli.keys.holders import revoke

    revoke(config, name, as_json)
