"""The Celery application of the workers: `celery -A workers worker -Q fast`.

One process serves one model, the one whose queue it consumes. The catalogue tells
how many streams at once (`-c` overrides it).
"""

from typing import Any

from celery.signals import celeryd_init, setup_logging

from fleet.errors import ConfigError
from fleet.names import RUN_TASK
from fleet.process import set_up_logging
from fleet.queueing import chosen_queues, make_app
from fleet.settings import load
from workers.service import serve

settings = load()
app = make_app("workers", settings)


@app.task(name=RUN_TASK, Strategy="fleet.pool:begin_at_once")  # type: ignore[untyped-decorator]
def run(job_id: str) -> None:
    """Run one job. The pool runs `workers.runner` instead of this body."""
    raise ConfigError("this worker was started with another pool: leave out -P/--pool")


@celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]
def pin_to_model(instance: Any, options: dict[str, Any], **_: Any) -> None:
    """Find the model of the process in its `-Q`."""
    if instance.app is not app:
        return
    queues = chosen_queues(options)
    known = ", ".join(model.queue for model in settings.catalogue.models)
    if len(queues) != 1 or (model := settings.catalogue.by_queue(queues[0])) is None:
        raise SystemExit(f"fleet: a worker serves one model; give one -Q of: {known}")
    app.conf.worker_concurrency = options.get("concurrency") or model.slots
    if str(instance.hostname).startswith("celery@"):
        instance.hostname = f"{model.name}@{instance.hostname.partition('@')[2]}"
    app.lifespan = lambda: serve(model, settings, app.conf.worker_concurrency)


@setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
def log_our_way(**_: Any) -> None:
    """Celery leaves logging to us."""
    set_up_logging(settings.log_level)
