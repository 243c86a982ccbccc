"""The policy: hard rules over a verdict, and the plan that follows from both. Pure.

The first rule that speaks decides the route:

1. the caller named a model, or a route;
2. the words ask for Claude or GPT, and a model has that role: of several, one of that maker;
3. the request brings tools, or ends with what a tool answered;
4. the classifier's verdict, heard in its conversation; unsure ones go to the capable middle.

Then the plan is put in order, and the models that cannot hold the conversation leave it, then
those that are not to be asked now. Where its first model would keep the job waiting for too long,
another one may go first (`overflow`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleet.catalogue import DOMAINS, Catalogue, Model
from fleet.decision import Decision, Memory
from fleet.errors import ConfigError, InvalidRequest
from fleet.last_words import not_asked
from fleet.overflow import Overflow
from fleet.tokens import estimate_tokens
from fleet.waits import AUTO
from router.asks import asked_maker
from router.holding import hold
from router.overflow import eased
from router.plan import Standing, Wish, asked_now, order
from router.signals import Signals
from router.verdict import Verdict

#: The route of those who ask for a model that is not ours.
EXTERNAL = "claude"
RULES = "rules"
#: Estimated tokens of a turn from which on a hard one counts as advanced in its domain.
ADVANCED_TOKENS = 30


@dataclass(frozen=True, slots=True)
class Manner:
    """How unsure and unwanted verdicts are dealt with; an experiment's arm may change it."""

    threshold: float = 0.0
    unsure_route: str = ""
    #: Jobs of the route on the left go to the route on the right.
    instead: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a decision depends on beside the request and the words."""

    catalogue: Catalogue
    manner: Manner = field(default_factory=Manner)
    memory: Memory | None = None
    standing: Standing = field(default_factory=Standing)
    overflow: Overflow = field(default_factory=Overflow)
    #: What the job itself says of waiting, and how long it may; see `Patience.of`.
    if_busy: str = ""
    start_within_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Choice:
    """A route, and the model that goes before its plan, if one was named."""

    route: str
    reasons: tuple[str, ...]
    confidence: float = 1.0
    classifier: str = RULES
    named: Model | None = None
    held: int = 0


def needs_verdict(signals: Signals) -> bool:
    """Whether the words have a say: not where the caller named a model or a route."""
    return signals.asked_model in ("", AUTO)


def decide(signals: Signals, verdict: Verdict | None, setting: Setting) -> Decision:
    """Turn signals and a verdict into a plan. The verdict may be None if it has no say.

    Raises:
        InvalidRequest: the caller named a model that is unknown or disabled.
        TooBusy: the model would keep it waiting for longer than it is to.
        ConfigError: no model is enabled.
    """
    catalogue = setting.catalogue
    if not catalogue.enabled:
        raise ConfigError("no model is enabled; enable one under [[models]]")
    choice = _choose(signals, verdict, setting) if verdict else _named(signals, catalogue)
    cached = setting.memory.model if setting.memory else ""
    wish = Wish(choice.route, choice.named, cached)
    standing = setting.standing
    able, notes = order(wish, signals, catalogue, standing)
    models, left_out = asked_now(able, standing)
    notes += tuple(f"{m.name!r} is left out: {standing.shut[m.name]}" for m in left_out)
    behind = (m.name for m in models if m.name in standing.shut and models != able)
    notes += tuple(f"{name!r} comes last: {standing.shut[name]}" for name in behind)
    models, moved = _eased(models, choice, setting)
    wait = standing.waits.get(models[0].name)
    decision = Decision(
        route=choice.route,
        model=models[0].name,
        plan=tuple(model.name for model in models),
        reasons=(*choice.reasons, *notes, *((moved,) if moved else ())),
        confidence=round(choice.confidence, 4),
        classifier=choice.classifier,
        held=choice.held,
        predicted_wait_ms=None if wait is None else round(wait * 1000),
        left_out=tuple(not_asked(m.name, standing.shut[m.name]) for m in left_out),
    )
    if verdict is None:
        return decision
    return replace(
        decision,
        version=verdict.version if choice.classifier != RULES else "",
        runner_up=verdict.runner_up,
        scores=verdict.scores,
        domain=verdict.domain,
    )


def _eased(
    models: tuple[Model, ...], choice: _Choice, setting: Setting
) -> tuple[tuple[Model, ...], str]:
    """Who named a model gets that one, unless the job itself says otherwise."""
    patience = setting.overflow.for_route(choice.route).of(setting.if_busy, setting.start_within_s)
    if choice.named and patience.if_busy == "overflow" and not setting.if_busy:
        return models, ""
    return eased(models, patience, setting.standing)


def _choose(signals: Signals, verdict: Verdict, setting: Setting) -> _Choice:
    catalogue = setting.catalogue
    if verdict.route == EXTERNAL and EXTERNAL in catalogue.routes:
        meant = _meant(signals.conversation.last, catalogue)
        said = (verdict.reasons, verdict.confidence, verdict.classifier)
        return _Choice(EXTERNAL, *said, named=meant)
    if signals.has_tools:
        return _Choice("tool", ("the request brings tools", *verdict.reasons))
    if signals.conversation.ends_with_tool_result:
        return _Choice("tool", ("the last turn is what a tool answered",))
    verdict, notes = _served(verdict, catalogue)
    held = hold(verdict, _remembered(verdict, setting), signals.conversation)
    notes += [held.reason] if held.reason else []
    route, manner = held.route, setting.manner
    if not held.reason and held.confidence < manner.threshold:
        unsure = manner.unsure_route
        if unsure != route and unsure in catalogue.served_routes:
            notes.append(f"not sure enough of {route} ({held.confidence:.2f}): {unsure} instead")
            route = unsure
    if domain := _domain_route(route, verdict.domain, signals, catalogue):
        notes.append(f"it is about {verdict.domain}: {domain}")
        route = domain
    if other := manner.instead.get(route):
        notes.append(f"the experiment sends {route} to {other}")
        route = other
    reasons = (*verdict.reasons, *notes)
    return _Choice(route, reasons, held.confidence, verdict.classifier, held=held.turns)


def _meant(turn: str, catalogue: Catalogue) -> Model | None:
    """The model of the maker that a turn asks for, where the route has those of several."""
    external = [model for model in catalogue.enabled if EXTERNAL in model.roles]
    if len({model.kind for model in external}) < 2:
        return None
    maker = asked_maker(turn)
    return next((model for model in external if model.kind == maker), None)


def _served(verdict: Verdict, catalogue: Catalogue) -> tuple[Verdict, list[str]]:
    """The verdict, or the best one that some enabled model serves."""
    served = catalogue.served_routes
    if verdict.route in served:
        return verdict, []
    note = f"no model that may be asked serves the route {verdict.route!r}"
    others = {route: score for route, score in verdict.scores.items() if route in served}
    best = max(others, key=lambda route: others[route], default="")
    if not best:
        return verdict, [note]
    share = others[best] / (sum(others.values()) or 1.0)
    return replace(verdict, route=best, confidence=share), [note]


def _remembered(verdict: Verdict, setting: Setting) -> Memory | None:
    """What is remembered, if its route is still there and the talk has not turned elsewhere."""
    memory = setting.memory
    if memory is None or memory.route not in setting.catalogue.served_routes:
        return None
    about = memory.route.removeprefix("advanced-")
    turned = verdict.domain in ("code", "creative") and verdict.domain != about
    return None if turned and memory.route in DOMAINS else memory


def _domain_route(route: str, domain: str, signals: Signals, catalogue: Catalogue) -> str:
    """Where a fleet with models by domain sends it; empty if it has none, or it needs a tool.

    For other fleets any code is work for the large model; here what is told in a line is not
    advanced yet.
    """
    if route not in ("fast", "large") or not set(DOMAINS).intersection(catalogue.routes):
        return ""
    advanced = route == "large" and estimate_tokens(signals.conversation.last) >= ADVANCED_TOKENS
    wanted = (f"advanced-{domain}", domain) if advanced else (domain,)
    return next((name for name in wanted if name in catalogue.routes), "")


def _named(signals: Signals, catalogue: Catalogue) -> _Choice:
    name = signals.asked_model
    model = catalogue.get(name)
    if model and not model.enabled:
        raise InvalidRequest(_why_disabled(model), param="model")
    if model and signals.has_tools and not model.tools:
        raise _cannot(
            name, "call tools (`tools = false`)", [m for m in catalogue.enabled if m.tools]
        )
    if model and signals.has_images and not model.images:
        able = [m for m in catalogue.enabled if m.images]
        raise _cannot(name, "see pictures (`images = false`)", able)
    if model:
        route = model.roles[0] if model.roles else ""
        return _Choice(route, (f"the caller named the model {name!r}",), named=model)
    if name in catalogue.served_routes:
        return _Choice(name, (f"the caller named the route {name!r}",))
    resting = next((m for m in catalogue.models if name in m.roles), None)
    if resting:
        raise InvalidRequest(_why_disabled(resting), param="model")
    known = ", ".join(catalogue.addressable)
    raise InvalidRequest(f"there is no model {name!r}; there are: {known}", param="model")


def _cannot(name: str, what: str, able: Sequence[Model]) -> InvalidRequest:
    named = ", ".join(model.name for model in able) or "none"
    return InvalidRequest(f"the model {name!r} cannot {what}; these can: {named}", param="model")


def _why_disabled(model: Model) -> str:
    if model.external:
        return (
            f"the model {model.name!r} is disabled: it has no key, or is switched off; "
            f"set the environment variable {model.api_key_env}"
        )
    return f"the model {model.name!r} is disabled: the configuration says `enabled = false`"
