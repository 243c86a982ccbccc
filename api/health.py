"""`GET /health`: how is the whole fleet. `GET /ready`: can this process take jobs."""

import asyncio
from collections import Counter
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from api.guard import trusted
from api.problems import problems
from api.shapes import HealthShown, ReadyShown
from api.state import Fleet, State
from fleet import __version__
from fleet.breaker.reports import phase, shut
from fleet.cache.finding import counts
from fleet.callers import WITH_A_KEY
from fleet.catalogue import Model
from fleet.errors import StoreUnavailable
from fleet.names import ROUTER_QUEUE
from fleet.process import living_nodes
from fleet.spend.book import Book

router = APIRouter()


@router.get("/health", responses={200: {"model": HealthShown}, 503: {"model": HealthShown}})
async def health(request: Request, fleet: Fleet) -> JSONResponse:
    """200 `ok` or `degraded`, 503 `down`. Without the key only that word is told."""
    report = await look(fleet)
    status = 503 if report["status"] == "down" else 200
    shown = report if trusted(request.scope) else {"status": report["status"]}
    return JSONResponse(shown, status)


@router.get("/ready", responses={200: {"model": ReadyShown}, 503: {"model": ReadyShown}})
async def ready(request: Request, fleet: Fleet) -> JSONResponse:
    """200 if this process can take jobs, else 503. Without the key only the word is told."""
    reason = "This process is being stopped." if fleet.closing.begun else await _refusal(fleet)
    if not reason:
        return JSONResponse({"status": "ready"})
    told = {"reason": reason} if trusted(request.scope) else {}
    return JSONResponse({"status": "not ready", **told}, 503, headers={"Retry-After": "1"})


async def look(fleet: State) -> dict[str, Any]:
    """What runs, what waits, what is missing."""
    refusal = await _refusal(fleet)
    try:
        access = await _access(fleet)
        nodes = await living_nodes(fleet.ledger)
        queued = await _queued(fleet)
        cache = await counts(fleet.ledger)
        spent = await Book(fleet.ledger.line, fleet.settings).used_up()
    except StoreUnavailable as error:
        redis = refusal or error.message
        return {"status": "down", "version": __version__, "redis": redis, "problems": [redis]}
    routers = [node for node in nodes if node["role"] == "router"]
    enabled = fleet.settings.catalogue.enabled
    models = {m.name: _model(m, nodes, queued[m.queue]) for m in enabled}
    for name, why in spent.items():
        models[name]["spent"] = why
    local = [models[m.name] for m in enabled if not m.external]
    off = [m for m in fleet.settings.catalogue.models if m.off]
    resting = {m.name: _model(m, nodes, queued[m.queue]) | {"off": m.off} for m in off}
    embedding = await _embedding(fleet)
    told = {"embedding": embedding} if embedding else {}
    word = _word(len(routers), local or list(models.values()))
    lacking = any(model["server"] != "ok" for model in embedding.values())
    if word == "ok" and (lacking or any("shut" in model for model in models.values())):
        word = "degraded"
    return {
        "status": "down" if refusal else word,
        "version": __version__,
        "access": access,
        "redis": refusal or "ok",
        "router": _router(routers, queued[ROUTER_QUEUE]),
        "models": models | resting,
        "cache": cache,
        **told,
        "problems": problems(refusal, routers, models, embedding),
    }


async def _refusal(fleet: State) -> str:
    """Why Redis takes no jobs now; empty if it does."""
    try:
        await fleet.ledger.ping_writes()
    except StoreUnavailable as error:
        return error.message
    return ""


async def _access(fleet: State) -> str:
    """Who may ask."""
    keyed = fleet.settings.api.callers or await fleet.keyring.any()
    return WITH_A_KEY if keyed else "this machine only: there is no key"


def _router(routers: list[dict[str, Any]], queued: int) -> dict[str, Any]:
    """How many there are, and who decides in the one that started last."""
    latest: dict[str, Any] = max(routers, key=lambda node: int(node["since"]), default={})
    told: dict[str, Any] = {key: latest[key] for key in ("classifier", "version") if key in latest}
    return {"workers": len(routers), "queued": queued, **told}


def _model(model: Model, nodes: list[dict[str, Any]], queued: int) -> dict[str, Any]:
    workers = [node for node in nodes if node.get("model") == model.name]
    states = Counter(node["server"] for node in workers)
    return {
        "workers": len(workers),
        "slots": sum(node["slots"] for node in workers),
        "active": sum(node["active"] for node in workers),
        "server": states.most_common(1)[0][0] if states else "unknown",
        "queued": queued,
        "breaker": phase(workers),
        **({"shut": why} if (why := shut(workers).get(model.name)) else {}),
    }


async def _embedding(fleet: State) -> dict[str, dict[str, Any]]:
    """The embedding models, whose servers are asked themselves."""
    reports = await asyncio.gather(*(one.report() for one in fleet.embedders.values()))
    return dict(zip(fleet.embedders, reports, strict=True))


def _word(routers: int, local: list[dict[str, Any]]) -> str:
    fine = [m["workers"] > 0 and m["server"] in ("ok", "unknown") for m in local]
    if not routers or not any(fine):
        return "down"
    return "ok" if all(fine) else "degraded"


async def _queued(fleet: State) -> dict[str, int]:
    """Jobs that wait in each queue."""
    queues = [ROUTER_QUEUE, *(model.queue for model in fleet.settings.catalogue.models)]
    return dict(zip(queues, await fleet.ledger.jobs_waiting(queues), strict=True))
