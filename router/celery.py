"""The Celery application of the router: `celery -A router worker`.

It decides (queue `router`) and delivers webhooks (queue `webhooks`); `-Q` names one of them, so
that what goes out to the world may have a process of its own.
"""

from typing import Any

from celery.signals import celeryd_init, setup_logging

from fleet.errors import ConfigError
from fleet.names import DELIVER_TASK, ROUTE_TASK, ROUTER_QUEUE, WEBHOOKS_QUEUE
from fleet.process import set_up_logging
from fleet.queueing import chosen_queues, make_app
from fleet.settings import load
from router.service import CONCURRENCY, serve

settings = load()
app = make_app("router", settings)
QUEUES = (ROUTER_QUEUE, WEBHOOKS_QUEUE)


@app.task(name=ROUTE_TASK, Strategy="fleet.pool:begin_at_once")  # type: ignore[untyped-decorator]
def route(job_id: str) -> None:
    """Route one job. The pool runs `router.service` instead of this body."""
    raise ConfigError("this router was started with another pool: leave out -P/--pool")


@app.task(name=DELIVER_TASK, Strategy="fleet.pool:begin_at_once")  # type: ignore[untyped-decorator]
def deliver(job_id: str) -> None:
    """Send a job's webhook. The pool runs `router.webhooks` instead of this body."""
    raise ConfigError("this router was started with another pool: leave out -P/--pool")


@celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]
def pin_to_queues(instance: Any, options: dict[str, Any], **_: Any) -> None:
    """The router serves its own two queues, or one of them, and no other."""
    if instance.app is not app:
        return
    queues = chosen_queues(options, ",".join(QUEUES))
    if not queues or not set(queues) <= set(QUEUES):
        raise SystemExit(f"fleet: the router serves {' and '.join(QUEUES)}; give -Q one of them")
    app.select_queues(queues)
    app.lifespan = lambda: serve(settings, queues)
    app.conf.worker_concurrency = options.get("concurrency") or CONCURRENCY


@setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
def log_our_way(**_: Any) -> None:
    """Celery leaves logging to us."""
    set_up_logging(settings.log_level)
