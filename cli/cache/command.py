"""The command line of `fleet cache`. What it does is imported when it is called."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fleet.settings import Settings

app = typer.Typer(help="Which questions share an answer.", no_args_is_help=True)

One = Annotated[str, typer.Argument(metavar="QUESTION", help="A question.")]
Other = Annotated[str, typer.Argument(metavar="OTHER", help="Another one.")]
Pairs = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help='Lines of {"a": "…", "b": "…", "same": true}: may they share one?'
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Similarity from which on they may; else the setting."),
]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration (TOML).")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


@app.command("try")
def attempt(
    one: One,
    other: Other,
    threshold: Threshold = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Show whether two questions would share an answer, and why not."""
    from cli.cache.trying import show

    show(_settings(config), one, other, threshold, as_json)


@app.command("eval")
def evaluate(
    file: Pairs, threshold: Threshold = None, as_json: Json = False, config: Config = None
) -> None:
    """Judge pairs of questions of one's own: which matches are wrong, at which threshold."""
    from cli.cache.trying import evaluate

    evaluate(_settings(config), file, threshold, as_json)


def _settings(config: Path | None) -> "Settings":
    from cli.solo import settings_of_role

    return settings_of_role(config)[0]
