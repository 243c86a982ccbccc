"""The semantic cache: a question that means the same as an earlier one gets its answer.

Whatever goes wrong here is a miss: the job goes its way to a model.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from fleet.cache import key
from fleet.cache.similar import Alike, SimilarQuestions
from fleet.decision import Decision
from fleet.errors import FleetError, ModelError
from fleet.job import Job
from fleet.moves.posts import LIVE_ROUTES
from fleet.request import last_user_turn
from fleet.settings import Settings
from router import embedders
from router.classifiers import Classifiers
from router.embedders import Embedder
from router.similar import MOST_CHARS, asks_for_live_data, why_not

if TYPE_CHECKING:
    from router.head import Vector

log = logging.getLogger(__name__)

NAME = "semantic cache"
#: An embedding takes milliseconds; the classifiers have threads of their own.
THREADS = 2
#: Seconds that an embedding is waited for: longer, and a model has begun to answer.
PATIENCE_S = 0.5
#: Questions that are looked at, the nearest first.
CANDIDATES = 8


class SemanticCache:
    """Finds earlier questions, and remembers the new ones."""

    def __init__(
        self, questions: SimilarQuestions, settings: Settings, classifiers: Classifiers
    ) -> None:
        self._questions = questions
        self._settings = settings
        self._rules = settings.cache.semantic
        self._failures = classifiers.failures
        self._threads = ThreadPoolExecutor(THREADS, "similar")
        self._embedder = self._of(classifiers) if self._rules.enabled else None

    def _of(self, classifiers: Classifiers) -> Embedder | None:
        """The classifier's embedder; none, and why in `/health`, where there is none."""
        if classifiers.embedding:
            return classifiers.embedding.embedder
        try:
            embedders.best()  # says what is missing
            raise ModelError("the embedding does not work, see there")
        except FleetError as error:
            self._failures.note(NAME, error)
            return None

    async def answer(self, job: Job, decision: Decision) -> bool:
        """Whether the job needs no model: it has got an earlier answer, or has ended."""
        if not (self._embedder and self._serves(job, decision)):
            return False
        try:
            for alike in await self._alike(job, self._embedder):
                done = await self._questions.answer(job, alike)
                if done is not None:
                    return True
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must go on
            _log("was not asked", job, error)
        return False

    async def remember(self, job: Job, decision: Decision) -> None:
        """Note the question of a job that goes to a model; its answer counts once it is whole."""
        if not (self._embedder and self._serves(job, decision)):
            return
        try:
            vector = await self._embed(self._embedder, last_user_turn(job.request))
            if vector is not None:
                from router.nearness import record

                digits = job.id.removeprefix("job_")
                await self._questions.note(
                    job, self._frame(job, self._embedder), record(digits, vector)
                )
        except Exception as error:  # noqa: BLE001 - the job has gone its way
            _log("does not know its question", job, error)

    def _serves(self, job: Job, decision: Decision) -> bool:
        """Whether the job's answer may be an earlier one: by the rules of the exact cache, and
        for a question that stands alone and is not about the present."""
        if not job.cache_key or f",{decision.route}," in LIVE_ROUTES:
            return False
        *before, last = job.request["messages"]
        alone = all(turn["role"] in ("system", "developer") for turn in before)
        text = last.get("content")
        plain = last["role"] == "user" and isinstance(text, str) and len(text) <= MOST_CHARS
        return alone and plain and not asks_for_live_data(text)

    async def _alike(self, job: Job, embedder: Embedder) -> list[Alike]:
        question = last_user_turn(job.request)
        noted, vector = await asyncio.gather(
            self._questions.noted(self._frame(job, embedder)), self._embed(embedder, question)
        )
        if vector is None or not noted:
            return []
        from router.nearness import nearest

        near = nearest(noted, vector, self._rules.threshold, CANDIDATES)
        similarity = {f"job_{each.digits}": each.similarity for each in near}
        earlier = await self._questions.questions(list(similarity))
        return [
            Alike(job_id, asked, similarity[job_id])
            for job_id, asked in earlier.items()
            if not why_not(question, asked)
        ]

    def _frame(self, job: Job, embedder: Embedder) -> str:
        """All that may change the answer beside the question; embeddings of one kind only."""
        owner = "" if self._settings.cache.shared else job.caller
        *before, last = job.request["messages"]
        unasked = job.request | {"messages": [*before, last | {"content": ""}]}
        catalogue = self._settings.catalogue.only(job.allowed)
        return f"{embedder.name}:{key.digest(unasked, job.asked_model, catalogue, owner)}"

    async def _embed(self, embedder: Embedder, text: str) -> "Vector | None":
        """None where it takes too long, or fails."""
        embed: Callable[[], Any] = partial(embedder.embed, [text])
        running = asyncio.get_running_loop().run_in_executor(self._threads, embed)
        try:
            rows = await asyncio.wait_for(running, PATIENCE_S)
        except TimeoutError:
            self._failures.note(NAME, ModelError("it gave no embedding in time"))
            return None
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must go on
            self._failures.note(NAME, error, reading=True)
            return None
        self._failures.healed(NAME)
        vector: Vector = rows[0]
        return vector

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _log(what: str, job: Job, error: Exception) -> None:
    expected = isinstance(error, FleetError)
    log.warning("job %s: the semantic cache %s: %s", job.id, what, error, exc_info=not expected)
