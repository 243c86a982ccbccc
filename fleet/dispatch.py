"""From "run this task for this job" to a message in a queue."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.errors import StoreUnavailable
from fleet.message import encode
from fleet.names import (
    DELIVER_TASK,
    ROUTE_TASK,
    ROUTER_QUEUE,
    RUN_TASK,
    WEBHOOKS_QUEUE,
    queue_list,
)
from fleet.settings import Settings

if TYPE_CHECKING:
    from celery import Celery


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way. `inline` is its text when a script is to enqueue it, else ''."""

    task: str
    job_id: str
    task_id: str
    queue: str
    priority: int
    inline: str

    @property
    def list_key(self) -> str:
        """The Redis list that stands for the queue at this priority."""
        return queue_list(self.queue, self.priority)


class Dispatcher:
    """Makes messages, and sends those that no script can.

    Where broker and store are the same Redis the message travels inside the script
    that writes the record; elsewhere (RabbitMQ, another Redis) Celery sends it after.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._inline = settings.broker_is_store
        self._queues = {model.name: model.queue for model in settings.catalogue.models}
        self._app: Celery | None = None

    def route(self, job_id: str, priority: int) -> Outgoing:
        """The message that asks the router for a plan."""
        return self._outgoing(ROUTE_TASK, job_id, f"{job_id}.route", ROUTER_QUEUE, priority)

    def run(self, job_id: str, model: str, attempt: int, priority: int) -> Outgoing:
        """The message that asks a worker of `model` for the job's next attempt."""
        task_id = f"{job_id}.{attempt}"
        return self._outgoing(RUN_TASK, job_id, task_id, self._queues[model], priority)

    def deliver(self, job_id: str) -> Outgoing:
        """The message that asks for the job's webhook to be sent; last of all in a process that
        decides, too.
        """
        return self._outgoing(DELIVER_TASK, job_id, f"{job_id}.webhook", WEBHOOKS_QUEUE, 9)

    async def sent(self, outgoing: Outgoing) -> None:
        """Send it by Celery, unless a script has done so already.

        Raises:
            StoreUnavailable: the broker does not answer.
        """
        if not outgoing.inline:
            await asyncio.to_thread(self._publish, outgoing)

    def _outgoing(
        self, task: str, job_id: str, task_id: str, queue: str, priority: int
    ) -> Outgoing:
        inline = encode(task, job_id, task_id, queue, priority) if self._inline else ""
        return Outgoing(task, job_id, task_id, queue, priority, inline)

    def _publish(self, outgoing: Outgoing) -> None:
        if self._app is None:
            from fleet.queueing import make_app  # celery is heavy, and rarely needed here

            self._app = make_app("dispatch", self._settings)
        from kombu.exceptions import OperationalError

        try:
            self._app.send_task(
                outgoing.task,
                args=(outgoing.job_id,),
                task_id=outgoing.task_id,
                queue=outgoing.queue,
                priority=outgoing.priority,
                ignore_result=True,
                retry=False,
            )
        except OperationalError as error:
            raise StoreUnavailable(f"The broker does not answer: {error}") from error
