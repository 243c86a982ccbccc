"""What a caller may put in `model`, and what it means: one place for every API. Pure."""

from collections.abc import Mapping

from fleet.catalogue import Catalogue
from fleet.errors import NoSuchModel


def meant(aliases: Mapping[str, str], name: str) -> str:
    """The model, route or `auto` that a name stands for: itself, where it is no alias."""
    return aliases.get(name, name)


def known(aliases: Mapping[str, str], catalogue: Catalogue) -> tuple[str, ...]:
    """Every name that these models answer to; the aliases come last."""
    own = catalogue.addressable
    return (*own, *(alias for alias, target in aliases.items() if target in own))


def listed(aliases: Mapping[str, str], catalogue: Catalogue) -> tuple[str, ...]:
    """Every name of a model, those of the embedding models and of their aliases too."""
    embedding = (a for a, target in aliases.items() if target in catalogue.embedders)
    return (*known(aliases, catalogue), *catalogue.embedders, *embedding)


def no_such(name: str, aliases: Mapping[str, str], catalogue: Catalogue) -> NoSuchModel:
    """The error for a name that nobody answers to."""
    why, there_are = _why_not(catalogue, meant(aliases, name)), known(aliases, catalogue)
    return NoSuchModel(f"model: {why}; there are: {', '.join(there_are)}", param="model")


def _why_not(catalogue: Catalogue, name: str) -> str:
    model = catalogue.get(name)
    if name in catalogue.embedders:
        return f"{name!r} does not chat; `POST /v1/embeddings` asks it"
    if model is None:
        return f"there is no {name!r}"
    return f"{name!r} is switched off" + (f" (no {model.api_key_env})" if model.external else "")
