"""Queries whose route is known: ours, public ones, and those of a configuration."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fleet.errors import ConfigError
from fleet.routing import Route
from router.jsonl import values

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Example:
    """A query, and where it should go."""

    query: str
    route: str
    #: `code`, `creative` or `general`; empty if nobody said.
    domain: str = ""
    #: Where it is from: `ours`, the name of a public set, `configuration` (the `description`
    #: of a route stands for itself), `feedback`.
    source: str = "ours"
    lang: str = ""
    #: The file it was read from, without its ending; empty if from none.
    file: str = ""


@cache
def shipped() -> tuple[Example, ...]:
    """The examples that come with the fleet; `data/SOURCES.md` says where they are from."""
    files = sorted((DATA / "examples").glob("*.jsonl"))
    return tuple(example for file in files for example in _read(file))


def of_routes(routes: Iterable[Route]) -> tuple[Example, ...]:
    """The examples of a configuration's own routes; a description is one as well."""
    return tuple(
        Example(query, route.name, source=source)
        for route in routes
        for source, queries in (
            ("configuration", route.examples),
            ("description", filter(None, [route.description.strip()])),
        )
        for query in queries
    )


def _read(file: Path) -> Iterator[Example]:
    for line in file.read_text(encoding="utf-8").rstrip("\n").split("\n"):
        raw = json.loads(line)
        yield Example(
            raw["query"],
            raw["route"],
            raw.get("domain", ""),
            raw.get("source", "ours"),
            raw.get("lang", ""),
            file.stem,
        )


@dataclass(frozen=True, slots=True)
class Labelled:
    """One line of a file to be judged on: messages, and the routes that are right."""

    messages: tuple[dict[str, Any], ...]
    routes: tuple[str, ...]
    source: str = ""
    lang: str = ""
    #: What kind of probe it is, and its name; empty for other files.
    kind: str = ""
    name: str = ""


def labelled(file: Path) -> list[Labelled]:
    """Read lines of `{query | messages, route | any, source?, lang?, kind?, id?}`.

    Raises:
        ConfigError: the file cannot be read, or a line is not of that form; it names the line.
    """
    form = '{"query": "…", "route": "fast"}'
    return [_labelled(where, raw) for where, raw in values(file, form)]


def _labelled(where: str, raw: Any) -> Labelled:
    def wrong(why: str) -> ConfigError:
        return ConfigError(f"{where}: {why}")

    if not isinstance(raw, dict):
        raise wrong("it must be an object")
    routes = raw.get("any") or [raw.get("route")]
    if not isinstance(routes, list) or not all(isinstance(r, str) and r for r in routes):
        raise wrong("give `route`, a text (or `any`, a list of them)")
    messages = raw.get("messages")
    if messages is None and isinstance(raw.get("query"), str):
        messages = [{"role": "user", "content": raw["query"]}]
    if not isinstance(messages, list):
        raise wrong("give `query`, a text, or `messages`, a list of turns")
    if not all(map(is_turn, messages)):
        raise wrong("a turn has a `role`, a text, and `content`, a text or a list of parts")
    texts = {key: str(raw.get(key) or "") for key in ("source", "lang", "kind", "id")}
    return Labelled(
        tuple(messages), tuple(routes), texts["source"], texts["lang"], texts["kind"], texts["id"]
    )


def is_turn(raw: Any) -> bool:
    """Whether something that was read has the form of a message."""
    if not isinstance(raw, dict) or not isinstance(raw.get("role"), str):
        return False
    return isinstance(raw.get("content"), str | list | None)
