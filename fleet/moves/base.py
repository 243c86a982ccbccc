"""What every move of a job has: the store, the settings, the way of a message."""

import json
import logging
from typing import Any

from fleet import scripts
from fleet.dispatch import Dispatcher, Outgoing
from fleet.errors import TooManyAttempts
from fleet.events import Kind, event_data
from fleet.line import Line
from fleet.names import ROUTER_QUEUE, queue_lists, waiting_key
from fleet.records import Records, store_errors
from fleet.settings import Settings

log = logging.getLogger(__name__)

EXPIRED_EVENT = event_data(
    Kind.EXPIRED,
    message="Nobody could answer before the job's deadline, or begin it in time. Its `attempts` "
    "tell who tried; a longer `deadline_s` or `start_timeout_s` gives them more.",
)


def compact(value: Any) -> str:
    """JSON without spaces, as scripts and logs get it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Moves(Records):
    """What the moves share."""

    def __init__(self, line: Line, settings: Settings, dispatcher: Dispatcher) -> None:
        super().__init__(line)
        self._dispatcher = dispatcher
        self._settings = settings
        self._ended_ttl = settings.store.retention_s
        self._unended_ttl = settings.store.retention_s + int(settings.limits.deadline_s)
        self._lease_ms = int(settings.workers.lease_s * 1000)
        self._attempts = settings.workers.max_attempts
        self._log_size = settings.router.log_size
        poisoned = TooManyAttempts(
            f"The job was given up: {self._attempts} attempts at it died or failed."
        ).as_dict()
        self._poisoned = json.dumps(poisoned)
        self._poisoned_event = event_data(Kind.FAILED, error=poisoned)
        queues = [ROUTER_QUEUE, *(model.queue for model in settings.catalogue.models)]
        self._lines = [waiting_key(queue) for queue in queues]
        self._lists = [key for queue in queues for key in queue_lists(queue)]
        self._zone = settings.spend.zone
        self._queues = {model.name: model.queue for model in settings.catalogue.models}

    def _memory_s(self, conversation: str) -> int:
        """Seconds for which a conversation is remembered; 0: not at all."""
        return self._settings.router.conversation_s if conversation else 0

    async def _wake_for(self, job_id: str, model: str, attempt: int, priority: int) -> None:
        """Send a message for a job to the line in which it stands."""
        if not model:
            await self._enqueue(self._dispatcher.route(job_id, priority))
        elif model not in self._queues:  # somebody with a newer catalogue may know it
            log.warning("job %s: no model %s in the catalogue of this process", job_id, model)
        else:
            await self._enqueue(self._dispatcher.run(job_id, model, attempt + 1, priority))

    async def _enqueue(self, outgoing: Outgoing) -> None:
        if outgoing.inline:
            async with store_errors():
                await scripts.PUSH(self.line, [outgoing.list_key], [outgoing.inline])
        await self._dispatcher.sent(outgoing)
