"""The policy: hard rules over a verdict, and the plan that follows from both.

The first rule that speaks decides the route:

1. the caller named a model, or a route;
2. the words ask for Claude, and a model has that role;
3. the request brings tools;
4. the classifier's verdict.

Then the models that cannot hold the conversation leave the plan.
"""

from dataclasses import dataclass

from fleet.catalogue import Catalogue, Model
from fleet.decision import Decision
from fleet.errors import ConfigError, InvalidRequest
from router.keywords import Verdict
from router.signals import Signals

AUTO = "auto"
#: Whose plan the local models follow when the first choice is external: the best of them first.
BEST_LOCAL = "large"


@dataclass(frozen=True, slots=True)
class _Choice:
    """A route, and the model that goes before its plan, if one was named."""

    route: str
    reasons: tuple[str, ...]
    confidence: float = 1.0
    classifier: str = "rules"
    named: Model | None = None


def decide(signals: Signals, verdict: Verdict, catalogue: Catalogue) -> Decision:
    """Turn signals and a verdict into a plan.

    Raises:
        InvalidRequest: the caller named a model that is unknown or disabled.
        ConfigError: no model is enabled.
    """
    if not catalogue.enabled:
        raise ConfigError("no model is enabled; enable one under [[models]]")
    choice = _choose(signals, verdict, catalogue)
    models = _order(choice, signals.has_tools, catalogue)
    fitting, notes = _that_hold(models, signals)
    return Decision(
        route=choice.route,
        model=fitting[0].name,
        plan=tuple(model.name for model in fitting),
        reasons=(*choice.reasons, *notes),
        confidence=choice.confidence,
        classifier=choice.classifier,
    )


def tokens_needed(signals: Signals, model: Model) -> int:
    """Tokens of context the conversation takes on a model: the prompt and room for the answer.

    A caller who names no `max_tokens` is content with a shorter answer: then a quarter
    of the context is enough room.
    """
    unasked = model.context // 4
    room = unasked if signals.max_tokens is None else signals.max_tokens
    return signals.tokens + min(room, model.max_tokens)


def _choose(signals: Signals, verdict: Verdict, catalogue: Catalogue) -> _Choice:
    if signals.asked_model not in ("", AUTO):
        return _named(signals.asked_model, verdict, catalogue)
    asks_for_claude = verdict.route == "claude" and "claude" in catalogue.routes
    if signals.has_tools and not asks_for_claude:
        return _Choice("tool", ("the request brings tools", *verdict.reasons))
    unserved = verdict.route not in catalogue.served_routes
    note = (f"no enabled model serves the route {verdict.route!r}",) if unserved else ()
    reasons = (*verdict.reasons, *note)
    return _Choice(verdict.route, reasons, verdict.confidence, verdict.classifier)


def _named(name: str, verdict: Verdict, catalogue: Catalogue) -> _Choice:
    model = catalogue.get(name)
    if model and not model.enabled:
        raise InvalidRequest(_why_disabled(model), param="model")
    if model:
        route = model.roles[0] if model.roles else verdict.route
        return _Choice(route, (f"the caller named the model {name!r}",), named=model)
    if name in catalogue.served_routes:
        return _Choice(name, (f"the caller named the route {name!r}",))
    resting = next((m for m in catalogue.models if name in m.roles), None)
    if resting:
        raise InvalidRequest(_why_disabled(resting), param="model")
    known = ", ".join(catalogue.addressable)
    raise InvalidRequest(f"there is no model {name!r}; there are: {known}", param="model")


def _why_disabled(model: Model) -> str:
    if model.external:
        return (
            f"the model {model.name!r} is disabled: it has no key, or is switched off; "
            f"set the environment variable {model.api_key_env}"
        )
    return f"the model {model.name!r} is disabled: the configuration says `enabled = false`"


def _order(choice: _Choice, has_tools: bool, catalogue: Catalogue) -> tuple[Model, ...]:
    """The named model, the models of the route, then who is left, the external ones last."""
    named = (choice.named,) if choice.named else ()
    of_route = catalogue.for_route(choice.route)
    first = (*named, *(model for model in of_route if choice.route in model.roles))
    after = of_route
    if first and first[0].external:
        after = catalogue.for_route("tool" if has_tools else BEST_LOCAL)
    return tuple({model.name: model for model in (*first, *after)}.values())


def _that_hold(
    models: tuple[Model, ...], signals: Signals
) -> tuple[tuple[Model, ...], tuple[str, ...]]:
    """The models whose context holds the conversation, and a reason for each that left."""
    fitting = tuple(m for m in models if tokens_needed(signals, m) <= m.context)
    if fitting:
        return fitting, tuple(_too_long(m, signals) for m in models if m not in fitting)
    largest = max(models, key=lambda model: model.context)
    note = f"no model holds about {signals.tokens} tokens; {largest.name!r} has the largest context"
    return (largest,), (note,)


def _too_long(model: Model, signals: Signals) -> str:
    needed = tokens_needed(signals, model)
    return f"{model.name!r} holds {model.context} tokens; prompt and answer need about {needed}"
