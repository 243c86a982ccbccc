"""The command line of `fleet webhooks`. What it does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="What webhooks are signed with, and those that are not delivered.", no_args_is_help=True
)

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration (TOML).")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Name of a caller.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the job.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")]


@app.command()
def secret(name: Name = None, config: Config = None) -> None:
    """Show what a caller's receivers check signatures with; without a name, that of your own."""
    from cli.webhooks.run import show_secret

    show_secret(config, name)


@app.command("list")
def list_(limit: Limit = 50, as_json: Json = False, config: Config = None) -> None:
    """List deliveries that wait for their next try, and those that were given up."""
    from cli.webhooks.run import show_list

    show_list(config, limit, as_json)


@app.command()
def retry(job_id: JobId, config: Config = None) -> None:
    """Try a job's delivery now, also one that was given up."""
    from cli.webhooks.run import retry as run

    run(config, job_id)
