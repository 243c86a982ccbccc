"""What workers say of their breakers in their signs of life. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from fleet.breaker.machine import Phase


def shut(nodes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The models of which no worker would ask its server now, each with the reason."""
    reasons: dict[str, list[str]] = {}
    for node in nodes:
        if isinstance(name := node.get("model"), str):
            reasons.setdefault(name, []).append(str(node.get("shut") or ""))
    return {name: told[0] for name, told in reasons.items() if all(told)}


def loading(nodes: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The models of which some worker's server is loading."""
    return frozenset(str(node["model"]) for node in nodes if node.get("server") == "loading")


def phase(nodes: Iterable[Mapping[str, Any]]) -> str:
    """The phase of a model by its workers: where they have several servers, the best one's."""
    told = {str(node.get("breaker", Phase.CLOSED)) for node in nodes}
    best = (Phase.CLOSED, Phase.HALF_OPEN, Phase.OPEN)
    return next((each.value for each in best if each in told), Phase.CLOSED.value)
