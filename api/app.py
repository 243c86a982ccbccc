"""The application: `uvicorn --factory api.app:create_app`, or `fleet api`."""

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from api import envelope, feedback, health, jobs, openapi, webhooks
from api.anthropic import routes as messages
from api.embeddings import routes as embeddings
from api.guard import Guard
from api.keyring import Keyring
from api.openai import chat, models
from api.responses import routes as responses
from api.state import open_state
from fleet import __version__
from fleet.errors import StoreUnavailable
from fleet.process import set_up_logging
from fleet.settings import Settings, load

log = logging.getLogger(__name__)

#: What a page of another origin may read in the head of an answer.
EXPOSED = (
    *("Location", "Retry-After"),
    *("x-fleet-job-id", "x-fleet-route", "x-fleet-model", "x-fleet-confidence"),
    *(
        f"x-ratelimit-{what}-{of}"
        for what in ("limit", "remaining", "reset")
        for of in ("requests", "tokens")
    ),
)
#: Seconds for which a browser need not ask again what it may send.
PREFLIGHT_S = 600


#: Every endpoint, by what it is about.
ROUTERS: tuple[Any, ...] = (
    jobs.router,
    feedback.router,
    responses.router,
    webhooks.router,
    health.router,
    chat.router,
    models.router,
    messages.router,
    embeddings.router,
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API of one fleet; settings are read from file and environment if not given."""
    chosen = settings or load()
    set_up_logging(chosen.log_level)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_state(chosen) as state:
            app.state.fleet = state
            await _tell_who_may_ask(chosen, state.keyring)
            gc.collect()
            gc.freeze()  # what stays for ever need not be looked at again and again
            yield

    # The interactive pages load scripts from elsewhere; the document itself is at /openapi.json.
    app = FastAPI(
        title="chat-fleet",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=openapi.operation_id,
    )
    openapi.install(app)
    envelope.install(app, [route.path for router in ROUTERS for route in router.routes])
    app.add_middleware(Guard, settings=chosen)
    if chosen.api.cors_origins:  # added last, so it is outermost: preflights carry no key
        app.add_middleware(
            CORSMiddleware,
            allow_origins=chosen.api.cors_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("*",),
            expose_headers=EXPOSED,
            max_age=PREFLIGHT_S,
        )
    for router in ROUTERS:
        app.include_router(router)
    return app


async def _tell_who_may_ask(settings: Settings, keyring: Keyring) -> None:
    if settings.api.callers:
        return
    try:
        if await keyring.any():
            return
    except StoreUnavailable as error:
        log.warning("whether there are keys is not known yet: %s", error.message)
        return
    log.info("no key exists: only this machine is served; make one with `fleet keys create NAME`")
