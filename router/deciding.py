"""From a job to a decision: signals, classifier, memory, policy; and the shadows' opinions."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from fleet.catalogue import Catalogue
from fleet.decision import Decision, Memory, conversation_handle
from fleet.errors import ModelError
from fleet.job import Job
from fleet.settings import Settings
from router import experiments, policy, signals
from router.classifiers import Classifiers
from router.conversation import Conversation
from router.counting import Counter
from router.experiments import Drawn
from router.plan import Standing
from router.policy import Manner, Setting
from router.verdict import Verdict

log = logging.getLogger(__name__)

#: Classifiers are called in threads: an embedding takes milliseconds, a model longer. One for
#: each job that a process decides at once and one for the shadows, so that no job waits for
#: the model that another one asks.
THREADS = 17
#: Seconds that a verdict is waited for beside the time that a model has for its own.
PATIENCE_S = 3.0


class Decider:
    """Decides jobs. Reads nothing from Redis and writes nothing there."""

    def __init__(self, settings: Settings, classifiers: Classifiers) -> None:
        self._settings = settings
        self._router = settings.router
        self._classifiers = classifiers
        self._counter = Counter()
        self._threads = ThreadPoolExecutor(THREADS, "classify")
        self._chains = {
            (experiment.name, arm.name): classifiers.chain(
                arm.classifier or self._router.classifier, arm.threshold
            )
            for experiment in self._router.experiments
            for arm in experiment.arms
        }
        self._chain = classifiers.chain(self._router.classifier)
        self._shadows = tuple(experiments.shadows(self._router.experiments))

    def handle(self, job: Job) -> str:
        """The handle of the job's conversation."""
        return conversation_handle(job.caller, job.request, job.conversation_id)

    def remembers(self, job: Job) -> bool:
        """Whether there may be something to remember: not at a conversation's first turn."""
        if not self._router.conversation_s or not policy.needs_verdict(
            signals.read(job.asked_model, {})
        ):
            return False
        roles = [message.get("role") for message in job.request.get("messages") or ()]
        return bool(job.conversation_id) or "assistant" in roles or roles.count("user") > 1

    async def decide(
        self,
        job: Job,
        memory: Memory | None = None,
        standing: Callable[[], Standing] = Standing,
    ) -> Decision:
        """The decision for a job. `standing` is asked when the words have been read: that may
        take a while, and others are sent meanwhile.

        Raises:
            InvalidRequest: the caller named a model that is unknown or disabled.
            TooBusy: the model would keep it waiting for longer than it is to.
            ConfigError: no model is enabled.
        """
        began = time.perf_counter()
        seen = signals.read(job.asked_model, job.request)
        handle = self.handle(job) if self._router.conversation_s else ""
        drawn = None
        verdict = None
        if policy.needs_verdict(seen):
            drawn = experiments.draw(self._router.experiments, handle, job.caller, job.id)
            verdict = await self._classify(drawn, seen.conversation)
        catalogue = self._settings.catalogue.only(job.allowed)
        seen = await self._counted(seen, job.request, catalogue)
        setting = Setting(
            catalogue,
            self.manner(drawn),
            memory,
            standing(),
            self._settings.overflow,
            job.if_busy,
            (job.start_by - job.created_at) / 1000 if job.start_by else None,
        )
        decision = policy.decide(seen, verdict, setting)
        return replace(
            decision,
            experiment=drawn.experiment if drawn else "",
            arm=drawn.arm.name if drawn else "",
            conversation=handle,
            took_ms=round((time.perf_counter() - began) * 1000, 3),
        )

    def manner(self, drawn: Drawn | None = None) -> Manner:
        """How an arm (none: the router) deals with unsure verdicts."""
        router = self._router
        if drawn is None:
            return Manner(router.threshold, router.unsure_route)
        arm = drawn.arm
        threshold = router.threshold if arm.threshold is None else arm.threshold
        return Manner(threshold, router.unsure_route, arm.instead)

    @property
    def has_shadows(self) -> bool:
        """Whether some arm only scores."""
        return bool(self._shadows)

    async def shadows(self, job: Job) -> list[tuple[Drawn, Decision]]:
        """What each shadow arm would have decided; arms that cannot say are left out."""
        seen = signals.read(job.asked_model, job.request)
        if not policy.needs_verdict(seen):
            return []
        found = []
        for drawn in self._shadows:
            began = time.perf_counter()
            verdict = await self._classify(drawn, seen.conversation)
            catalogue = self._settings.catalogue.only(job.allowed)
            setting = Setting(catalogue, self.manner(drawn))
            decision = policy.decide(seen, verdict, setting)
            took_ms = round((time.perf_counter() - began) * 1000, 3)
            found.append((drawn, replace(decision, took_ms=took_ms)))
        return found

    async def _classify(self, drawn: Drawn | None, conversation: Conversation) -> Verdict:
        chain = self._chains[drawn.experiment, drawn.arm.name] if drawn else self._chain
        loop = asyncio.get_running_loop()
        answer = loop.run_in_executor(self._threads, chain.classify, conversation)
        try:
            return await asyncio.wait_for(answer, PATIENCE_S + self._router.llm_timeout_s)
        except TimeoutError:
            late = ModelError("it gave no verdict in time")
            why = self._classifiers.failures.note(self._router.classifier, late)
            verdict = self._classifiers.keywords.classify(conversation)
            return replace(verdict, reasons=(*verdict.reasons, f"the classifier failed: {why}"))

    async def _counted(
        self, seen: signals.Signals, request: Mapping[str, Any], catalogue: Catalogue
    ) -> signals.Signals:
        unclear = [model for model in catalogue.enabled if seen.near_the_limit(model)]
        if not unclear:
            return seen
        return replace(seen, counted=await self._counter.count(unclear, request))

    async def aclose(self) -> None:
        """Give threads and connections back."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._counter.aclose()
