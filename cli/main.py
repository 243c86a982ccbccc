"""The `fleet` command. Each command imports what it needs when it is called, not before."""

from pathlib import Path
from typing import Annotated

import typer

from cli.bench.command import bench
from cli.cache.command import app as cache
from cli.keys.command import app as keys
from cli.report.command import report
from cli.route.command import app as route
from cli.webhooks.command import app as webhooks
from fleet.errors import FleetError

app = typer.Typer(
    help="A message-queue worker fleet for multi-model chat.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration (TOML).")]
Preset = Annotated[str | None, typer.Option(help="A ready-made configuration, such as `demo`.")]
Url = Annotated[str | None, typer.Option(help="Address of the API, if not the one running here.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show all that the processes say.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a large download.")]
NoFlower = Annotated[bool, typer.Option("--no-flower", help="Leave Flower out.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the job.")]


@app.command()
def up(
    config: Config = None,
    preset: Preset = None,
    no_flower: NoFlower = False,
    verbose: Verbose = False,
    yes: Yes = False,
) -> None:
    """Start everything on this machine, until Ctrl-C."""
    import os

    from cli.launch import Wishes
    from cli.up import choose_config
    from cli.up import up as run

    path, chosen = choose_config(config, preset, os.environ, Path.cwd())
    raise typer.Exit(run(Wishes(path, flower=not no_flower, yes=yes), chosen, verbose=verbose))


@app.command()
def demo(
    config: Config = None,
    preset: Preset = None,
    keep: Annotated[bool, typer.Option("--keep", help="Stay up after the questions.")] = False,
    no_flower: NoFlower = False,
    verbose: Verbose = False,
    yes: Yes = False,
) -> None:
    """Start a small fleet, ask it three questions that go three ways, and stop it."""
    from cli.demo import demo as run
    from cli.launch import Wishes
    from cli.up import DEFAULT_PRESET, choose_config

    preset = preset or (None if config else DEFAULT_PRESET)
    path, chosen = choose_config(config, preset, {}, Path.cwd())
    wishes = Wishes(path, flower=not no_flower, yes=yes, any_port=True)
    raise typer.Exit(run(wishes, chosen, keep=keep, verbose=verbose))


@app.command()
def ask(
    text: Annotated[str, typer.Argument(help="The question; `-` reads it from stdin.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Name of a model or role.")] = "auto",
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer.")] = None,
    if_busy: Annotated[
        str | None, typer.Option(help="Where it would wait long: wait, overflow or reject.")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither take an earlier answer nor leave one.")
    ] = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Ask one question and show its answer as it comes."""
    from cli.ask import run

    wishes = {"model": model, "max_tokens": max_tokens, "if_busy": if_busy}
    raise typer.Exit(run(text, wishes | ({"cache": False} if no_cache else {}), url, as_json))


@app.command()
def jobs(
    status: Annotated[str | None, typer.Option(help="Only jobs in this state.")] = None,
    model: Annotated[str | None, typer.Option(help="Only jobs of this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many.")] = 20,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """List the latest jobs."""
    from cli.jobs import show_list

    raise typer.Exit(show_list(url, status, model, limit, as_json))


@app.command()
def job(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show it to its end.")] = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Show one job."""
    from cli.jobs import show_one

    raise typer.Exit(show_one(url, job_id, follow, as_json))


@app.command()
def cancel(job_id: JobId, as_json: Json = False, url: Url = None) -> None:
    """Cancel a job, waiting or running."""
    from cli.jobs import cancel as run

    raise typer.Exit(run(url, job_id, as_json))


@app.command()
def budget(as_json: Json = False, config: Config = None) -> None:
    """Show what models that cost money have cost today and this month, and will."""
    from cli.budget.run import show

    show(config, as_json)


@app.command()
def worker(
    model: Annotated[str, typer.Argument(help="Name of a model in the catalogue.")],
    slots: Annotated[int | None, typer.Option(min=1, help="Streams at once.")] = None,
    url: Annotated[str | None, typer.Option(help="Address of the model's server.")] = None,
    config: Config = None,
) -> None:
    """Run a worker of one model."""
    from cli.roles import run_worker
    from cli.solo import settings_of_role

    settings, joined = settings_of_role(config)
    run_worker(settings, model, slots, url, another=joined)


@app.command()
def router(
    queues: Annotated[
        str, typer.Option("--queues", "-Q", help="router, webhooks, or both.")
    ] = "router,webhooks",
    config: Config = None,
) -> None:
    """Run a router; it also delivers webhooks."""
    from cli.roles import run_router
    from cli.solo import settings_of_role

    settings, joined = settings_of_role(config)
    run_router(settings, queues, another=joined)


@app.command()
def api(config: Config = None) -> None:
    """Serve the API."""
    from cli.roles import run_api
    from cli.solo import settings_of_role

    run_api(settings_of_role(config)[0])


@app.command()
def version(as_json: Json = False) -> None:
    """Show the version."""
    from cli.version import show

    show(as_json)


app.command()(bench)
app.command()(report)
app.add_typer(cache, name="cache")
app.add_typer(keys, name="keys")
app.add_typer(route, name="route")
app.add_typer(webhooks, name="webhooks")


def main() -> None:
    """Run the command line; our errors become one message and an exit code."""
    try:
        app()
    except FleetError as error:
        from cli.failures import exit_code, told
        from cli.screen import err

        err.print(told(error), style="red", markup=False, soft_wrap=True)
        raise SystemExit(exit_code(error)) from None


if __name__ == "__main__":
    main()
