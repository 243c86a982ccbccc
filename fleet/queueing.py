"""The Celery application that router and workers share, with a reason beside each odd setting."""

from collections.abc import Mapping
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from fleet import transport
from fleet.eventing import BatchedEvents
from fleet.names import DELIVER_TASK, PRIORITY_STEPS, ROUTE_TASK, ROUTER_QUEUE, WEBHOOKS_QUEUE
from fleet.settings import Settings

#: How long Redis may be silent before a connection counts as dead, in seconds.
SOCKET_TIMEOUT_S = 15


def chosen_queues(options: Mapping[str, Any], otherwise: str = "") -> list[str]:
    """The queues that a worker's `-Q` names, from the options of Celery's `celeryd_init`."""
    queues = options.get("queues") or otherwise
    return [name for name in queues.split(",") if name] if isinstance(queues, str) else list(queues)


def make_app(name: str, settings: Settings) -> Celery:
    """A Celery application that knows every queue of the catalogue."""
    transport.install()
    app = Celery(name, broker=settings.broker, set_as_current=False)
    queues = [ROUTER_QUEUE, WEBHOOKS_QUEUE, *(model.queue for model in settings.catalogue.models)]
    app.conf.update(
        # One process, one event loop, any number of streams. See fleet/pool.py.
        worker_pool="fleet.pool:AsyncioPool",
        # Pull only when a slot is free, and keep the message until the job has ended.
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        # The ledger is the only truth: no result is ever stored.
        task_ignore_result=True,
        # Nothing but JSON is ever decoded.
        accept_content=["json"],
        task_serializer="json",
        event_serializer="json",
        # A typing mistake must fail; Flower's broker page lists declared queues only.
        task_create_missing_queues=False,
        task_queues=[Queue(queue, Exchange(""), routing_key=queue) for queue in queues],
        task_default_queue=ROUTER_QUEUE,
        task_queue_max_priority=9,
        task_routes={
            ROUTE_TASK: {"queue": ROUTER_QUEUE},
            DELIVER_TASK: {"queue": WEBHOOKS_QUEUE},
        },
        # The default gives up after a hundred tries.
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        # A Redis that is full answers with an error; a worker must outlive that.
        broker_channel_error_retry=True,
        # The default waits for ever.
        broker_pool_acquire_timeout=2,
        broker_transport_options={
            "priority_steps": list(PRIORITY_STEPS),
            "queue_order_strategy": "priority",
            # Only a backstop, beyond any usual job: shorter would run jobs twice.
            "visibility_timeout": 900,
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        # Flower lives on these.
        worker_send_task_events=True,
        task_send_sent_event=True,
        # The command line of `fleet` and of a service manager speaks for itself.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_heartbeat=0,
    )
    app.amqp.Connection = transport.Connection
    app.steps["consumer"].add(BatchedEvents)
    return app
