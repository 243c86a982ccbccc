"""The `[router]` table: classifiers, routes of one's own, experiments."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from fleet.catalogue import NAME, Strict

Classifier = Literal["cascade", "embedding", "keywords", "llm"]
Share = Annotated[float, Field(ge=0, le=1)]

#: Fewer examples do not tell a route from the others.
FEWEST_EXAMPLES = 3


class Route(Strict):
    """A route of one's own, told by examples."""

    name: str
    #: What goes there, in a sentence; the `llm` classifier reads it.
    description: Annotated[str, Field(max_length=500)]
    #: Queries that belong there.
    examples: Annotated[tuple[str, ...], Field(min_length=FEWEST_EXAMPLES, max_length=2_000)]

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not NAME.fullmatch(value) or value == "auto":
            raise ValueError("use lower-case letters, digits, '.', '_' and '-'; 'auto' is taken")
        return value

    @field_validator("examples")
    @classmethod
    def _say_something(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not example.strip() for example in value):
            raise ValueError("an example is empty")
        return value


class Arm(Strict):
    """One way of deciding, beside others. What is not said stays as the router has it."""

    name: str
    #: Its share of the conversations, beside the other arms' weights.
    weight: Annotated[float, Field(ge=0, le=1_000)] = 1.0
    #: Decides nothing: it only scores every job, and what it would have said is noted.
    shadow: bool = False
    classifier: Classifier | None = None
    threshold: Share | None = None
    #: Policy: jobs of the route on the left go to the route on the right.
    instead: dict[str, str] = Field(default={})


class Experiment(Strict):
    """Arms that are compared on real jobs."""

    name: str
    #: What stays in one arm: a conversation, or everything of one caller.
    by: Literal["conversation", "caller"] = "conversation"
    arms: Annotated[tuple[Arm, ...], Field(min_length=2, max_length=8)]

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError("use lower-case letters, digits, '.', '_' and '-', at most 63")
        return value

    @model_validator(mode="after")
    def _arms_differ(self) -> Self:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError(f"experiment {self.name!r}: two arms have one name")
        if not any(arm.weight > 0 and not arm.shadow for arm in self.arms):
            raise ValueError(f"experiment {self.name!r}: no arm decides; give one a weight")
        return self


class Router(Strict):
    """How a job finds its model."""

    #: Who reads the words when no rule has spoken.
    classifier: Classifier = "cascade"
    #: A verdict less sure than this goes to `unsure_route`.
    threshold: Share = 0.45
    #: The capable middle; where nobody serves it, the verdict stands.
    unsure_route: str = "tool"
    #: User turns before the last one that still say what the talk is about.
    memory_turns: Annotated[int, Field(ge=0, le=50)] = 3
    #: Seconds for which a conversation's last route and model are remembered; 0: not at all.
    conversation_s: Annotated[int, Field(ge=0, le=604_800)] = 3_600
    #: What `fleet route fit` wrote; empty: `route-head.json` in `FLEET_HOME`, else ours.
    head: str = ""
    #: CPU threads of the embedding.
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    #: A catalogue model that is asked about what the classifier is unsure of; empty: none.
    llm: str = ""
    #: Seconds that it is waited for.
    llm_timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    #: Entries kept in the decision log; 0: none is written.
    log_size: Annotated[int, Field(ge=0)] = 100_000
    #: Keep the beginning of the last user turn of a job whose route a caller has corrected,
    #: so that the router can learn from it.
    keep_feedback_text: bool = True
    routes: tuple[Route, ...] = ()
    experiments: tuple[Experiment, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for what, named in (("routes", self.routes), ("experiments", self.experiments)):
            names = [one.name for one in named]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"router.{what}: {twice[0]!r} is there twice")
        return self

    @model_validator(mode="after")
    def _llm_is_named(self) -> Self:
        arms = (arm.classifier for experiment in self.experiments for arm in experiment.arms)
        if "llm" in (self.classifier, *arms) and not self.llm:
            raise ValueError("the classifier 'llm' asks a model: name it in router.llm")
        return self
