"""The command line of `fleet route`. What it does is imported when it is called."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fleet.routing import Classifier as Name
    from fleet.settings import Settings

#: Further back than there is any feedback.
FOREVER_MS = 10**15

app = typer.Typer(
    help="What the router decides, and what came of it.",
    no_args_is_help=True,
    rich_markup_mode=None,  # brackets are TOML here
)

Since = Annotated[str, typer.Option(help="How far back: 90s, 30m, 24h, 7d.")]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration (TOML).")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")]
Experiment = Annotated[str, typer.Argument(help="Name of an experiment in `[router]`.")]
Out = Annotated[Path | None, typer.Option(help="File to write; by default standard output.")]
Preset = Annotated[str | None, typer.Option(help="A ready-made configuration, such as `demo`.")]
Lines = Annotated[Path, typer.Argument(metavar="FILE", help="Lines of JSON: query and route.")]
Classifier = Annotated[
    str | None,
    typer.Option(help="cascade, embedding, keywords or llm; by default as configured."),
]
Question = Annotated[str | None, typer.Argument(help="The text; `-` reads it from stdin.")]
Talk = Annotated[
    Path | None, typer.Option(help="JSON list of the turns before it (or of all of them).")
]
Model = Annotated[str, typer.Option("--model", "-m", help="Name of a model or route.")]
Tools = Annotated[bool, typer.Option("--tools", help="As if the request brought tools.")]
FromFeedback = Annotated[
    bool, typer.Option("--from-feedback", help="Also from what callers have said of routes.")
]
FeedbackSince = Annotated[
    str | None, typer.Option(help="Only feedback of the last 90s, 30m, 24h, 7d; by default all.")
]
HeadOut = Annotated[
    Path | None, typer.Option(help="File to write; by default where a router looks for it.")
]
Least = Annotated[
    float | None, typer.Option("--min-accuracy", min=0, max=1, help="Exit with 1 below this.")
]


@app.command()
def report(since: Since = "24h", as_json: Json = False, config: Config = None) -> None:
    """Show each route's share, times, fall-overs and misroutes, and what feedback suggests."""
    from cli.route.report import run

    run(config, window(since), since, as_json)


@app.command()
def compare(
    experiment: Experiment, since: Since = "7d", as_json: Json = False, config: Config = None
) -> None:
    """Compare the arms of an experiment, and say what can be said of their differences."""
    from cli.route.compare import run

    run(config, experiment, window(since), since, as_json)


@app.command()
def export(since: Since = "7d", out: Out = None, config: Config = None) -> None:
    """Write the rows of the decision log, one JSON object a line."""
    from cli.route.export import run

    run(config, window(since), out)


@app.command("eval")
def evaluate(
    file: Lines,
    classifier: Classifier = None,
    min_accuracy: Least = None,
    as_json: Json = False,
    config: Config = None,
    preset: Preset = None,
) -> None:
    """Decide queries whose route is known, and show how often it is found."""
    from cli.route.evaluate import run

    settings, name = _settings(config, preset), _name(classifier)
    raise typer.Exit(run(settings, file, name, min_accuracy, as_json))


@app.command()
def explain(
    text: Question = None,
    conversation: Talk = None,
    model: Model = "auto",
    tools: Tools = False,
    as_json: Json = False,
    config: Config = None,
    preset: Preset = None,
) -> None:
    """Show why a text goes where it goes."""
    from cli.route.explain import request_of, run

    request = request_of(text, conversation, tools)
    run(_settings(config, preset), request, model, as_json)


@app.command()
def fit(
    from_feedback: FromFeedback = False,
    since: FeedbackSince = None,
    out: HeadOut = None,
    as_json: Json = False,
    config: Config = None,
    preset: Preset = None,
) -> None:
    """Learn the routes from our examples, those in `router.routes`, and feedback."""
    import os

    from router import embedders

    embedder = embedders.best()
    # Before numpy comes in: its products are narrow here, and threads only get in their way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from cli.route.fit import Wanted, run

    window_ms = window(since) if since else FOREVER_MS
    wanted = Wanted(embedder, window_ms if from_feedback or since else None, out)
    run(_settings(config, preset), wanted, as_json)


def _name(classifier: str | None) -> "Name | None":
    from typing import get_args

    from fleet.routing import Classifier as Name

    names: tuple[Name, ...] = get_args(Name)
    found = next((name for name in names if name == classifier), None)
    if classifier and not found:
        told = f"{classifier!r} is none; there are: {', '.join(names)}"
        raise typer.BadParameter(told, param_hint="--classifier")
    return found


def _settings(config: Path | None, preset: str | None) -> "Settings":
    from cli.solo import settings_of_role
    from fleet.settings import preset_path

    config = config or (preset_path(preset) if preset else _here())
    return settings_of_role(config)[0]


def _here() -> Path | None:
    """`./fleet.toml`, unless something else is named, or the fleet that runs here reads it."""
    import os

    from cli.runstate import running
    from fleet.home import home

    here = Path("fleet.toml")
    if not here.is_file() or "FLEET_CONFIG" in os.environ:
        return None
    state = running(home())
    read = Path(state.environment.get("FLEET_CONFIG", "")) if state else None
    return None if read and read.resolve() == here.resolve() else here


def window(since: str) -> int:
    """Milliseconds of `--since`."""
    from cli.route.since import milliseconds

    try:
        return milliseconds(since)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
