"""`[cache]`: which answers are given again, to whom, and for how long."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from fleet.catalogue import Strict


class Semantic(Strict):
    """Whether a question that means the same gets the same answer. See docs/cache-semantic.md."""

    enabled: bool = False
    #: How near the embeddings of two questions must be, as the cosine of their angle.
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.92
    #: Questions that are remembered of a caller for one system prompt, model and sampling.
    entries: Annotated[int, Field(ge=1, le=10_000)] = 1_000


class Cache(Strict):
    """Which answers are given again, to whom, and for how long. See docs/cache.md."""

    enabled: bool = True
    #: Seconds after its end for which an answer is given again.
    ttl_s: Annotated[int, Field(ge=1)] = 3_600
    #: Whether answers to requests without `temperature = 0` are given again, too.
    any_temperature: bool = False
    #: Whether a caller may get what another one was answered.
    shared: bool = False
    #: Jobs at most that get their answer out of one that goes on; the next one asks a model again.
    followers: Annotated[int, Field(ge=0, le=1_000)] = 64
    semantic: Semantic = Semantic()

    @model_validator(mode="after")
    def _semantic_is_a_part(self) -> Self:
        if self.semantic.enabled and not self.enabled:
            raise ValueError("cache.semantic.enabled: set cache.enabled, too: it is a part of that")
        return self
