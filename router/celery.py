"""The Celery application of the router: `celery -A router worker -Q router`."""

from typing import Any

from celery.signals import celeryd_init, setup_logging

from fleet.errors import ConfigError
from fleet.names import ROUTE_TASK, ROUTER_QUEUE
from fleet.process import set_up_logging
from fleet.queueing import chosen_queues, make_app
from fleet.settings import load
from router.service import CONCURRENCY, serve

settings = load()
app = make_app("router", settings)
app.lifespan = lambda: serve(settings)


@app.task(name=ROUTE_TASK, Strategy="fleet.pool:begin_at_once")  # type: ignore[untyped-decorator]
def route(job_id: str) -> None:
    """Route one job. The pool runs `router.service` instead of this body."""
    raise ConfigError("this router was started with another pool: leave out -P/--pool")


@celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]
def pin_to_queue(instance: Any, options: dict[str, Any], **_: Any) -> None:
    """The router serves its own queue and no other."""
    if instance.app is not app:
        return
    queues = chosen_queues(options, ROUTER_QUEUE)
    if queues != [ROUTER_QUEUE]:
        raise SystemExit(f"fleet: the router serves one queue; give -Q {ROUTER_QUEUE}")
    app.select_queues(queues)
    app.conf.worker_concurrency = options.get("concurrency") or CONCURRENCY


@setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
def log_our_way(**_: Any) -> None:
    """Celery leaves logging to us."""
    set_up_logging(settings.log_level)
