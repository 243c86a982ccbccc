"""From a route to the models that may answer, in the order in which they are tried. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fleet.catalogue import Catalogue, Model
from fleet.errors import TryNext
from router.signals import Signals

#: Whose plan the local models follow when the first choice is external: the best of them first.
BEST_LOCAL = "large"
#: Seconds of waiting that make no difference between two models of one route.
SAME_WAIT_S = 2.0
#: Seconds of waiting that a conversation's prompt cache is worth.
CACHE_WORTH_S = 10.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How the fleet stands: what a plan's order may depend on beside the route."""

    #: Models that have a living worker; None: nobody knows.
    alive: frozenset[str] | None = None
    #: Seconds that a new job of each model would wait.
    waits: Mapping[str, float] = field(default_factory=dict)
    #: Models that are not to be asked now, each with the error that a job would meet there.
    shut: Mapping[str, TryNext] = field(default_factory=dict)

    def away(self, model: Model) -> bool:
        """Whether nobody works for a model, while somebody works for another."""
        return bool(self.alive) and model.name not in (self.alive or ())


@dataclass(frozen=True, slots=True)
class Wish:
    """What a plan is made for."""

    route: str
    #: The model that the caller named.
    named: Model | None = None
    #: The model whose server has the conversation in its prompt cache; empty if none.
    cached: str = ""


def order(
    wish: Wish, signals: Signals, catalogue: Catalogue, standing: Standing
) -> tuple[tuple[Model, ...], tuple[str, ...]]:
    """The plan, and what is to be said about it.

    The named model; then the models of the route, those that wait least first; then the other
    local ones; then the external ones. Of the local ones, those that nobody works for come
    after the others. Who cannot hold the conversation, cannot call tools that the request
    brings, or cannot see its pictures, leaves the plan, unless nobody were left.
    """
    models, notes = _by_fit(wish, signals, catalogue, standing)
    if signals.has_images:
        models = _able(models, "see pictures", lambda m: m.images, notes)
    if signals.has_tools:
        models = _able(models, "call tools", lambda m: m.tools, notes)
    too_long = [m for m in models if signals.tokens_needed(m) > m.context]
    if not too_long:
        return models, tuple(notes)
    if len(too_long) < len(models):
        names = {m.name for m in too_long}
        notes += [_too_long(m, signals) for m in too_long]
        return tuple(m for m in models if m.name not in names), tuple(notes)
    largest = max(models, key=lambda model: model.context)
    tokens = signals.prompt_tokens(largest)
    notes.append(f"no model holds about {tokens} tokens; {largest.name!r} has the largest context")
    return (largest,), tuple(notes)


def asked_now(
    models: tuple[Model, ...], standing: Standing
) -> tuple[tuple[Model, ...], tuple[Model, ...]]:
    """Those of a plan that may be asked, and those that are left out: nobody, if none may. Where
    only external ones may, which caps and keys bound, local ones come behind: a server comes back.
    """
    may = tuple(model for model in models if model.name not in standing.shut)
    out = tuple(model for model in models if model.name in standing.shut)
    if not may:
        return models, ()
    if any(not model.external for model in may):
        return may, out
    behind = tuple(model for model in out if not model.external)
    return (*may, *behind), tuple(model for model in out if model.external)


def _able(
    models: tuple[Model, ...], what: str, can: Callable[[Model], bool], notes: list[str]
) -> tuple[Model, ...]:
    """Those that can, and a note on each other; all of them if none can."""
    able = tuple(model for model in models if can(model))
    if not able:
        notes.append(f"no enabled model can {what}")
        return models
    notes += [f"{model.name!r} cannot {what}" for model in models if not can(model)]
    return able


def _by_fit(
    wish: Wish, signals: Signals, catalogue: Catalogue, standing: Standing
) -> tuple[tuple[Model, ...], list[str]]:
    of_route = catalogue.for_route(wish.route)
    first = [model for model in of_route if wish.route in model.roles]
    after = of_route
    if (wish.named or (first[0] if first else of_route[0])).external:
        after = catalogue.for_route("tool" if signals.has_tools else BEST_LOCAL)
    first.sort(key=_by_wait(wish, standing))
    # By name: models are compared, and hashed, field by field.
    wanted = list({model.name: model for model in (*first, *after)}.values())
    wanted.sort(
        key=lambda model: (
            model.external and wish.route not in model.roles,
            not model.external and standing.away(model),
        )
    )
    notes = []
    if wanted and first and wanted[0] is not first[0] and not wish.named:
        notes.append(f"nobody works for {first[0].name!r} now")
    if wish.named:
        wanted = [wish.named, *(model for model in wanted if model is not wish.named)]
    return tuple(wanted), notes


def _by_wait(wish: Wish, standing: Standing) -> Callable[[Model], tuple[bool, int, bool]]:
    def key(model: Model) -> tuple[bool, int, bool]:
        cached = wish.cached == model.name
        wait = standing.waits.get(model.name, 0.0)
        wait = max(0.0, wait - CACHE_WORTH_S) if cached else wait
        return model.external, int(wait / SAME_WAIT_S), not cached

    return key


def _too_long(model: Model, signals: Signals) -> str:
    needed = signals.tokens_needed(model)
    return f"{model.name!r} holds {model.context} tokens; prompt and answer need about {needed}"
