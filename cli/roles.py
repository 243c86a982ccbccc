"""The command lines of the roles, and the commands that run one role alone."""

import asyncio
import os
import sys

from cli.environment import model_variable
from fleet.catalogue import Catalogue, Model
from fleet.errors import ConfigError, StoreUnavailable
from fleet.hosts import is_loopback
from fleet.keys import Keys
from fleet.ledger import connect
from fleet.names import ROUTER_QUEUE, WEBHOOKS_QUEUE
from fleet.settings import Settings

#: What a router's process serves.
ROUTER_QUEUES = f"{ROUTER_QUEUE},{WEBHOOKS_QUEUE}"
#: Peers of a queue have nothing to tell each other; the chatter costs a start and a channel.
_ALONE = ("--without-gossip", "--without-mingle")
#: Celery's six lines to root are for those who take pickles; our queues take JSON only.
_AS_ROOT = "ignore:You're running the worker with superuser privileges"
#: Seconds for what a process does after its last answer.
LINGER_S = 5
#: Seconds after which the API leaves a reader that does not read; the others it sends on at once.
STUCK_S = 3


def router_argv(
    log_level: str, queues: str = ROUTER_QUEUES, *, another: bool = False
) -> tuple[str, ...]:
    """`celery -A router worker …`; by default it decides and delivers webhooks."""
    name = "router" if ROUTER_QUEUE in queues.split(",") else WEBHOOKS_QUEUE
    return _celery("router", queues, _node(name, another), log_level)


def worker_argv(
    model: Model, log_level: str, slots: int | None = None, *, another: bool = False
) -> tuple[str, ...]:
    """`celery -A workers worker …` for one model: its queue, its name, its slots."""
    command = _celery("workers", model.queue, _node(model.name, another), log_level)
    return (*command, "-c", str(slots or model.slots))


def _node(name: str, another: bool) -> str:
    """Name of the Celery node; a second one on the same machine must not share it."""
    return f"{name}-{os.getpid()}" if another else name


def flower_argv(port: int) -> tuple[str, ...]:
    """`celery -A workers flower …`; its password comes through the environment."""
    return (*_CELERY, "-A", "workers", "flower", "--address=127.0.0.1", f"--port={port}")


def api_argv() -> tuple[str, ...]:
    """`fleet api`, whichever way we were started ourselves."""
    return (sys.executable, "-m", "cli.main", "api")


_CELERY = (sys.executable, "-m", "celery")


def _celery(app: str, queue: str, node: str, log_level: str) -> tuple[str, ...]:
    celery = (sys.executable, "-W", _AS_ROOT, "-m", "celery", "--quiet")
    command = (*celery, "-A", app, "worker", "-Q", queue, "-n", f"{node}@%h", *_ALONE)
    return (*command, "-l", log_level)


def find_model(catalogue: Catalogue, name: str) -> Model:
    """The catalogue's entry.

    Raises:
        ConfigError: there is none of that name; the message lists those there are.
    """
    if name in catalogue.embedders:
        raise ConfigError(
            f"{name!r} embeds texts (task = 'embedding') and needs no worker: the API asks its "
            "server itself"
        )
    model = catalogue.get(name)
    if model is None:
        names = ", ".join(m.name for m in catalogue.models) or "none"
        raise ConfigError(f"no model {name!r} in the catalogue; there are: {names}")
    return model


async def refuse_open_door(settings: Settings) -> None:
    """An API that others can reach must ask for a key: of the settings, or in Redis.

    Raises:
        ConfigError: the address is not loopback, and there is no key.
    """
    if settings.api.callers or is_loopback(settings.api.host):
        return
    if reason := await _no_key_in_redis(settings):
        raise ConfigError(
            f"api.host is {settings.api.host!r}, which others can reach, neither api.key nor "
            f"api.keys is set, and {reason}; make a key with `fleet keys create NAME`, set "
            "FLEET_API__KEY, or listen on 127.0.0.1"
        )


async def _no_key_in_redis(settings: Settings) -> str:
    """Why there is no key to be found there; empty if there is one."""
    line = connect(settings)
    try:
        return "" if await Keys(line).count() else "there is no key in Redis"
    except StoreUnavailable as error:
        return f"whether there is a key in Redis is not known ({error.message.rstrip('.')})"
    finally:
        await line.aclose()


def run_router(settings: Settings, queues: str, *, another: bool = False) -> None:
    """Become a router's process.

    Raises:
        ConfigError: a router does not serve that queue.
    """
    chosen = [name for name in queues.split(",") if name]
    if not chosen or not set(chosen) <= set(ROUTER_QUEUES.split(",")):
        raise ConfigError(f"-Q {queues}: a router serves {ROUTER_QUEUES}, or one of them")
    _become(router_argv(settings.log_level, ",".join(chosen), another=another))


def run_worker(
    settings: Settings, name: str, slots: int | None, url: str | None, *, another: bool = False
) -> None:
    """Become a worker of one model."""
    model = find_model(settings.catalogue, name)
    _refuse_idle(model)
    if slots is not None:
        os.environ[model_variable(name, "slots")] = str(slots)
    if url is not None:
        os.environ[model_variable(name, "url")] = url
    elif model.url is None and not model.external:
        raise ConfigError(f"{name}: give its server's address with --url, or start `fleet up`")
    _become(worker_argv(model, settings.log_level, slots, another=another))


def _refuse_idle(model: Model) -> None:
    """An external model without its key would take jobs only to fail them."""
    if model.external and not os.environ.get(model.api_key_env):
        raise ConfigError(f"{model.name}: {model.api_key_env} is not set")


def _become(argv: tuple[str, ...]) -> None:
    os.execv(argv[0], list(argv))  # noqa: S606


def run_api(settings: Settings) -> None:
    """Serve the API in this process."""
    import contextlib

    import uvicorn

    asyncio.run(refuse_open_door(settings))
    # uvicorn raises the signal it was stopped by once more, at its end.
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.run(
            "api.app:create_app",
            factory=True,
            http="api.connection:Connection",
            host=settings.api.host,
            port=settings.api.port,
            timeout_graceful_shutdown=STUCK_S,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
