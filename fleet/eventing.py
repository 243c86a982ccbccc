"""Celery's task events, sent in batches: Flower hears of a task a moment later.

Celery publishes whatever has gathered at every turn of its loop, which is a round trip
to Redis for each task, on the very thread that pulls the next message.
"""

from typing import Any

from celery import bootsteps

#: How long events may gather, in seconds, and how many.
GATHER_S = 0.25
GATHER_MOST = 200


class BatchedEvents(bootsteps.StartStopStep):  # type: ignore[misc]
    """Consumer step that lets task events gather before they are sent."""

    requires = ("celery.worker.consumer.events:Events",)

    def start(self, parent: Any) -> None:
        """Change the dispatcher that the consumer has just made (again, after an outage)."""
        dispatcher, hub = parent.event_dispatcher, parent.hub
        if dispatcher is None or hub is None:
            return
        waiting = False

        def send() -> None:
            nonlocal waiting
            waiting = False
            if parent.event_dispatcher is dispatcher:
                dispatcher.flush()

        def soon() -> None:
            nonlocal waiting
            if not waiting:
                waiting = True
                hub.call_later(GATHER_S, send)

        dispatcher.buffer_limit = GATHER_MOST
        dispatcher.on_send_buffered = soon
