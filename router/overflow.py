"""What becomes of a plan whose first model would keep the job waiting for too long. Pure."""

from collections.abc import Sequence
from math import inf

from fleet.catalogue import Model
from fleet.overflow import Patience, about, too_busy
from router.plan import SAME_WAIT_S, Standing


def eased(
    plan: tuple[Model, ...], patience: Patience, standing: Standing
) -> tuple[tuple[Model, ...], str]:
    """The plan in the order that its job's patience asks for, and the reason if it has changed.

    A wait that is not known is not too long, and no better than another one.

    Raises:
        TooBusy: the first model would keep it waiting, and it does not want to.
    """
    first, bound = plan[0], patience.max_wait_s
    wait = standing.waits.get(first.name)
    if patience.if_busy == "wait" or wait is None or wait <= bound:
        return plan, ""
    if patience.if_busy == "reject":
        raise too_busy(wait, bound, first.name)
    other = _other(plan, bound, wait, standing)
    if other is None:
        return plan, ""
    plan = (other, *(model for model in plan if model is not other))
    return plan, f"{first.name!r} would keep it waiting {about(wait)}: {other.name!r} instead"


def _other(plan: Sequence[Model], bound: float, wait: float, standing: Standing) -> Model | None:
    """Who answers instead: another local model that is free enough, an external one that may be
    asked, the one that waits clearly least; None: nobody is better.
    """
    first, *others = plan
    if first.external:  # it was asked for, or there is no local one
        return None
    waits = {m.name: w for m in others if (w := standing.waits.get(m.name)) is not None}
    soon = [m for m in others if waits.get(m.name, inf) <= bound and m.name not in standing.shut]
    soon.sort(key=lambda model: model.external)
    if soon:
        return soon[0]
    local = [model for model in others if model.name in waits and not model.external]
    least = min(local, key=lambda model: waits[model.name], default=None)
    return least if least and waits[least.name] < wait - SAME_WAIT_S else None
