"""The command line of `fleet report`. What it does is imported when it is called."""

from cli.route.command import Config, Json, Since, window


def report(since: Since = "24h", as_json: Json = False, config: Config = None) -> None:
    """Show each model's work, its speed and its cost, and what that would have cost at Claude."""
    from cli.report.run import run

    run(config, window(since), since, as_json)
