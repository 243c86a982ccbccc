"""What is wrong with a fleet, and what helps, in words. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def problems(
    redis: str,
    routers: Sequence[Mapping[str, Any]],
    models: Mapping[str, Mapping[str, Any]],
    embedding: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[str]:
    """One sentence for each thing that is wrong, with its cure; the worst first."""
    found = [redis] if redis else []
    if not routers:
        found.append("No router lives: start one with `fleet router`.")
    failed = {name: why for node in routers for name, why in node.get("failed", {}).items()}
    found += [f"The router's `{name}` does not work: {why}." for name, why in failed.items()]
    found += [text for name, model in models.items() for text in _of_model(name, model)]
    servers = (embedding or {}).items()
    return found + [text for name, model in servers for text in _of_server(name, model["server"])]


def _of_model(name: str, model: Mapping[str, Any]) -> Iterator[str]:
    if not model["workers"]:
        yield f"No worker serves `{name}`: start one with `fleet worker {name}`."
    else:
        yield from _of_server(name, model["server"])
        if why := model.get("shut"):
            yield (
                f"`{name}` is not asked for now, because of its server: {why.rstrip('.')}. It is "
                "tried again by itself; its log tells more."
            )


def _of_server(name: str, state: str) -> Iterator[str]:
    if state == "down":
        yield f"The server of `{name}` does not answer: start it, or correct the model's url."
    elif state == "loading":
        yield f"The server of `{name}` is loading its model: wait; a large one takes minutes."
