"""Which classifiers this process has: loaded once, at its start."""

import logging
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.catalogue import DOMAINS
from fleet.errors import ConfigError, FleetError
from fleet.home import where
from fleet.routing import Classifier as Name
from fleet.settings import Settings
from router import embedders
from router.cascade import Cascade, Failures
from router.conversation import Conversation
from router.keywords import KeywordClassifier
from router.verdict import Classifier

if TYPE_CHECKING:
    from router.embedding import EmbeddingClassifier

log = logging.getLogger(__name__)


class Classifiers:
    """The classifiers by their names in the settings; each falls back to the ones after it."""

    def __init__(self, settings: Settings, folder: Path | None = None) -> None:
        """Load what is installed. `folder` is where `fleet route fit` writes."""
        self.failures = Failures()
        self._settings = settings
        self._folder = folder or where()
        self.keywords = KeywordClassifier(settings.router.memory_turns)

    def chain(self, name: Name, threshold: float | None = None) -> Cascade:
        """A classifier with everything that stands in for it."""
        members: dict[Name, list[Classifier | None]] = {
            "keywords": [self.keywords],
            "embedding": [self.embedding, self.keywords],
            "cascade": [self.embedding, self.keywords],
            "llm": [self._llm, self.embedding, self.keywords],
        }
        router = self._settings.router
        return Cascade(
            [member for member in members[name] if member],
            self.failures,
            # Without an embedding the words are asked anyway.
            quick=self.keywords if name == "cascade" and self.embedding and self._plain else None,
            asks=self.embedding or self.keywords if name == "llm" else None,
            second=self._llm if name == "cascade" else None,
            threshold=router.threshold if threshold is None else threshold,
        )

    @property
    def _plain(self) -> bool:
        """Whether the words alone may decide: they know neither routes of one's own nor, well
        enough, domains."""
        by_domain = set(DOMAINS).intersection(self._settings.catalogue.routes)
        return not self._settings.router.routes and not by_domain

    def report(self) -> dict[str, Any]:
        """For `/health`: who decides, and what does not work."""
        chain = self.chain(self._settings.router.classifier)
        return {
            "classifier": self._settings.router.classifier,
            "version": chain.version,
            "failed": self.failures.as_dict(),
        }

    @cached_property
    def embedding(self) -> "EmbeddingClassifier | None":
        """None where nothing is installed; what is installed and does not work is noted."""
        wanted = self._settings.router.classifier == "embedding"
        if not embedders.installed() and not wanted:
            return None
        try:
            embedders.best()  # says what is missing, before numpy does
            from router import embedding, recent

            found = embedding.load(self._settings.router, self._folder)
            found.embedder = recent.Recent(found.embedder)
            found.classify(Conversation.saying("warm up"))
        except Exception as error:  # noqa: BLE001 - a broken wheel may raise anything
            self.failures.note("embedding", error)
            return None
        self._miss_no_route(found.routes)
        return found

    def _miss_no_route(self, known: tuple[str, ...]) -> None:
        told_apart = (*known, "claude")  # that one by a layer of its own
        missing = [r.name for r in self._settings.router.routes if r.name not in told_apart]
        if missing:
            named = ", ".join(missing)
            error = ConfigError(f"it does not know the route(s) {named} yet; run: fleet route fit")
            self.failures.note("embedding: own routes", error)

    @cached_property
    def _llm(self) -> Classifier | None:
        from router import llm

        name = self._settings.router.llm
        if not name:
            return None
        try:
            model = self._settings.catalogue.get(name)
            if model is None:
                raise ConfigError(f"router.llm: there is no model {name!r}")
            own = {route.name: route.description for route in self._settings.router.routes}
            told = {**llm.DESCRIPTIONS, **own}
            return llm.LlmClassifier(model, told, self._settings.router.llm_timeout_s)
        except FleetError as error:
            self.failures.note(llm.NAME, error)
            return None
