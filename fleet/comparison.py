"""What answers would have cost at a provider, and so what one's own models save. Pure."""

from typing import NamedTuple

from fleet.catalogue import Catalogue, Model, Price, Strict
from fleet.prices import KNOWN, price_of

#: Compared with where the catalogue has no external model that costs money.
USUAL = "claude-haiku-5-5"


class Report(Strict):
    """`[report]`: what `fleet report` and the jobs hold the fleet's own work against."""

    #: A model of the catalogue, or a provider's name of one; empty: the first
    #: external one that costs something.
    compare_with: str = ""


class Reference(NamedTuple):
    """The model that is compared with."""

    #: In the catalogue; the provider's name of it where it is not there.
    name: str
    price: Price

    def cost_usd(
        self,
        model: str | None,
        cost_usd: float | None,
        prompt_tokens: int | None,
        completion_tokens: int | None,
    ) -> float | None:
        """What an answer would have cost there; None: its tokens are not known.

        `model` is the one that was asked; None: none was, a cache had the answer. The tokens are
        those that the model counted which has answered, and no cache is reckoned with. What the
        reference answered itself has cost what it did.
        """
        if model == self.name and cost_usd is not None:
            return cost_usd
        if prompt_tokens is None or completion_tokens is None:
            return None
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
        return self.price.cost_usd(usage)


def reference(catalogue: Catalogue, compare_with: str = "") -> Reference:
    """The model that is compared with.

    Raises:
        ValueError: nobody knows a price of the one that is named.
    """
    if not compare_with:
        return next(map(_of, filter(_sold, catalogue.models)), None) or _usual()
    named = (m for m in catalogue.models if compare_with in (m.name, m.model) and m.price)
    if found := next(named, None):
        return _of(found)
    if catalogue.get(compare_with) is None and (listed := price_of(compare_with)):
        return Reference(compare_with, Price.model_validate(listed))
    priced = [model.name for model in catalogue.models if model.price]
    raise ValueError(
        f"no price of {compare_with!r} is known; there are: {', '.join((*priced, *KNOWN))}; the "
        "extra chat-fleet[prices] knows many more by the provider's name"
    )


def _usual() -> Reference:
    return Reference(USUAL, Price.model_validate(KNOWN[USUAL]))


def _sold(model: Model) -> bool:
    return (
        model.external and model.price is not None and bool(model.price.input or model.price.output)
    )


def _of(model: Model) -> Reference:
    assert model.price is not None  # noqa: S101
    return Reference(model.name, model.price)
