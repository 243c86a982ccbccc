"""What is said when nobody could answer: who was asked, what each said, and what helps. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from fleet.catalogue import Catalogue, Model
from fleet.errors import (
    PASSING,
    AllModelsUnavailable,
    BreakerOpen,
    CapReached,
    ContextExceeded,
    FleetError,
    NotServed,
    ServerBusy,
    ServerFailed,
    ServerLoading,
    ServerStalled,
    ServerUnreachable,
    StreamCut,
    TryNext,
)

Failure = Mapping[str, Any]

#: Characters of what each model said, and of all the words together.
REASON_MOST = 240
WORDS_MOST = 3_000
#: Seconds after which it is worth asking again, where no server said.
LATER_S = 5.0
LOADED_S = 10.0


def last_words(
    tried: Sequence[Failure],
    catalogue: Catalogue,
    *,
    plan: Sequence[str] = (),
    allowed: Sequence[str] = (),
    left_out: Sequence[Failure] = (),
) -> FleetError:
    """The error with which a job ends that no model of its plan could answer.

    Args:
        tried: every failure, in order; see `Job.tried`.
        catalogue: the models whose names, addresses and bounds the words may use.
        plan: the models that were to be asked.
        allowed: those that this caller may use; empty: all.
        left_out: those that could answer and were not in the plan; see `Job.left_out`.
    """
    asked = once_each(tried)
    names = {failure["model"] for failure in asked}
    left_out = [failure for failure in left_out if failure["model"] not in names]
    able = [*(plan or names), *(failure["model"] for failure in left_out)]
    if all(_too_long(name, tried, catalogue) for name in able):
        return ContextExceeded(_bounded([_told(asked), *_cures(asked, catalogue)]))
    last_resort = _missing(catalogue, plan, allowed)
    asked += [{**failure, "tries": 0} for failure in left_out]
    words = [f"All models unavailable. Tried {_told(asked)}", *_cures(asked, catalogue)]
    return AllModelsUnavailable(
        _bounded([*words, *last_resort]),
        tried=asked,
        retry_after_s=worth_waiting_s([*tried, *left_out]),
    )


def not_asked(model: str, error: TryNext) -> dict[str, Any]:
    """What a job keeps of a model that its plan leaves out; see `Job.left_out`."""
    return {"model": model, "code": error.code, "message": error.message}


def once_each(tried: Sequence[Failure]) -> list[dict[str, Any]]:
    """Each model in the order in which they were asked first, with what it said last."""
    seen: dict[str, dict[str, Any]] = {}
    for failure in tried:
        before = seen.get(failure["model"], {"tries": 0})
        said = {key: failure[key] for key in ("model", "code", "message")}
        seen[failure["model"]] = {**said, "tries": before["tries"] + 1}
    return list(seen.values())


def worth_waiting_s(tried: Sequence[Failure]) -> float | None:
    """Seconds after which one of the models may answer; None: time alone changes nothing."""
    last = {failure["model"]: failure for failure in tried}.values()
    passing = [failure for failure in last if failure["code"] in PASSING]
    return min((_later_s(failure) for failure in passing), default=None)


def _later_s(failure: Failure) -> float:
    usual = LOADED_S if failure["code"] == ServerLoading.code else LATER_S
    return float(failure.get("retry_after_s", usual))


def too_small(tried: Sequence[Failure], catalogue: Catalogue) -> int:
    """The largest context, in tokens, that is known not to hold the conversation; 0: none is."""
    long = [failure for failure in tried if failure["code"] == ContextExceeded.code]
    known = {model.name: model.context for model in catalogue.models}
    return max((f.get("needs") or known.get(f["model"], 0) for f in long), default=0)


def _too_long(name: str, tried: Sequence[Failure], catalogue: Catalogue) -> bool:
    """Whether a model cannot hold the conversation, by its own word or another's."""
    if any(f["model"] == name and f["code"] == ContextExceeded.code for f in tried):
        return True
    model = catalogue.get(name)
    return model is not None and model.context <= too_small(tried, catalogue)


def _told(asked: Sequence[Failure]) -> str:
    return "; ".join(map(_reason, asked))


def _reason(failure: Failure) -> str:
    said = str(failure["message"]).strip().rstrip(".")
    said = said if len(said) <= REASON_MOST else f"{said[: REASON_MOST - 1]}…"
    times = {0: " (not asked)", 1: ""}
    often = times.get(failure["tries"], f" ({failure['tries']} times)")
    return f"{failure['model']}: {said}{often}"


def _cures(asked: Sequence[Failure], catalogue: Catalogue) -> list[str]:
    """What helps against each failure; what helps several is said once."""
    found = (
        CURES[failure["code"]](model)
        for failure in asked
        if failure["code"] in CURES and (model := catalogue.get(failure["model"]))
    )
    cures = list(dict.fromkeys(found))
    return [f"What helps: {'; '.join(cures)}"] if cures else []


def _unreachable(model: Model) -> str:
    asked = f"{place(model)} was asked"
    if model.external:
        return f"see that {model.provider} can be reached from here, by `url` ({asked})"
    return (
        f"start the server of {model.name!r} (`fleet up`, or its own command), or correct `url` "
        f"of its [[models]] entry ({asked})"
    )


def _stalled(model: Model) -> str:
    waits = model.timeouts
    return (
        f"see why {model.name!r} is silent, or raise its `timeouts`: first_token_s is "
        f"{waits.first_token_s:g}, between_tokens_s {waits.between_tokens_s:g}"
    )


def _capped(model: Model) -> str:
    own = f"`calls_per_day` {_cap(model.calls_per_day)}, `usd_per_day` {_cap(model.usd_per_day)}"
    return (
        f"raise the cap that is used up: of {model.name!r} ({own}), of [spend], or of the key; "
        "all begin anew when the day turns"
    )


def _cap(most: float) -> str:
    return f"is {most:g}" if most else "is none"


def _not_served(model: Model) -> str:
    if not model.external:
        key = f"a valid {model.api_key_env}" if model.api_key_env else "a key by `api_key_env`"
        return f"give the worker of {model.name!r} {key}, or correct `url` ({place(model)})"
    return (
        f"give the worker of {model.name!r} a valid {model.api_key_env}, see `model` of its entry, "
        "or change the request, whichever it names"
    )


def _too_small(model: Model) -> str:
    return (
        f"shorten the conversation, or give a model more `context` ({model.name!r} has "
        f"{model.context} tokens)"
    )


def _broken(model: Model) -> str:
    where = model.provider if model.external else f"the log of the server of {model.name!r}"
    return f"look at {where}"


#: What helps against a failure with that code, in the words of the configuration.
CURES: Mapping[str, Callable[[Model], str]] = {
    ServerUnreachable.code: _unreachable,
    ServerLoading.code: lambda m: f"wait until {m.name!r} has loaded its model",
    ServerStalled.code: _stalled,
    ServerBusy.code: lambda m: f"ask {m.provider} less often, or for a higher limit",
    BreakerOpen.code: lambda m: f"see to the server of {m.name!r} ({place(m)}): it failed lately",
    CapReached.code: _capped,
    NotServed.code: _not_served,
    ContextExceeded.code: _too_small,
    ServerFailed.code: _broken,
    StreamCut.code: _broken,
}


def _missing(catalogue: Catalogue, plan: Sequence[str], allowed: Sequence[str]) -> Iterator[str]:
    """That a last resort is configured and switched off: nobody else says why it was not asked."""
    external = [model for model in catalogue.models if model.external]
    if any(model.enabled or model.name in plan for model in external):
        return
    for model in external:
        if not allowed or model.name in allowed:
            yield f"There is no last resort: {model.name!r} is off ({model.off})"


def place(model: Model) -> str:
    """Where a model is asked, without what may be secret in its address."""
    if not model.base_url:
        return model.provider
    parts = urlsplit(model.base_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _bounded(sentences: Sequence[str]) -> str:
    """Sentences, each with one full stop, in so many characters."""
    words = " ".join(f"{sentence.rstrip('. ')}." for sentence in sentences)
    return words if len(words) <= WORDS_MOST else f"{words[: WORDS_MOST - 1]}…"
