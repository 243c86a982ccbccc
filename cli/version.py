"""`fleet version`: what is installed, read from metadata, without importing it."""

import platform
from importlib import metadata

from cli.screen import out, print_json
from fleet import __version__

_SHOWN = ("celery", "redis", "fastapi", "anthropic")


def show(as_json: bool) -> None:
    """Print our version, Python's and that of the main libraries."""
    facts = {"version": __version__, "python": platform.python_version()}
    facts |= {name: _version(name) for name in _SHOWN}
    if as_json:
        print_json(facts)
        return
    rest = ", ".join(f"{name} {value}" for name, value in list(facts.items())[1:])
    out.print(f"chat-fleet {__version__} ({rest})", soft_wrap=True)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
