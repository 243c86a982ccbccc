"""The application: `uvicorn --factory api.app:create_app`, or `fleet api`."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api import envelope, feedback, health, jobs, openapi
from api.guard import Guard
from api.openai import chat, models
from api.responses import routes as responses
from api.state import open_state
from fleet import __version__
from fleet.process import set_up_logging
from fleet.settings import Settings, load


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API of one fleet; settings are read from file and environment if not given."""
    chosen = settings or load()
    set_up_logging(chosen.log_level)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_state(chosen) as state:
            app.state.fleet = state
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
    envelope.install(app)
    app.add_middleware(Guard, settings=chosen)
    app.include_router(jobs.router)
    app.include_router(feedback.router)
    app.include_router(responses.router)
    app.include_router(health.router)
    app.include_router(chat.router)
    app.include_router(models.router)
    return app
