"""What is wrong with a configuration, in words. Pure."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

#: Where a value that is wrong may be a secret all the same.
SECRET = (("api", "key"), ("api", "keys"), ("api", "health_key"), ("webhooks", "secret"))

#: What is said of a value that should have been a table.
NO_TABLE = ("model_type", "model_attributes_type", "dict_type")


def explain(error: ValidationError, path: Path, settings: type[BaseModel]) -> str:
    """One line for each mistake: where it is, what it says, what is allowed there."""
    lines = [_explain_one(dict(mistake), settings) for mistake in error.errors()]
    return "\n".join([f"{path} (and FLEET_… variables) has {len(lines)} mistake(s):", *lines])


def _explain_one(mistake: dict[str, Any], settings: type[BaseModel]) -> str:
    location = tuple(mistake["loc"])
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location).lstrip(".")
    if mistake["type"] == "extra_forbidden":
        allowed = _keys_beside(location, settings)
        near = get_close_matches(str(location[-1]), allowed, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"  {where}: unknown key; {hint}allowed: {', '.join(allowed)}"
    text = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] in NO_TABLE:
        listed = any(isinstance(part, int) for part in location)
        text = "write it as a table: { key = value }"
        text += "" if listed else f", or its keys under [{where}]"
    given = mistake.get("input")
    plain = isinstance(given, str | int | float | bool) and location[:2] not in SECRET
    shown = f" (it is {given!r})" if plain else ""
    return f"  {where}: {text}{shown}" if where else f"  {text}"


def _keys_beside(location: tuple[str | int, ...], settings: type[BaseModel]) -> list[str]:
    """The keys that are allowed where an unknown one was found."""
    table = settings
    for part in location[:-1]:  # a number, or a name that the user gave, stands for what it holds
        if part in table.model_fields:
            table = _table_of(table.model_fields[str(part)].annotation) or table
    return list(table.model_fields)


def _table_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _table_of(arg))), None)
