"""Whether the processes that were started answer yet."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from cli.plan import ProcessSpec

_PATIENCE_S = 2.0


class Probes:
    """Asks Valkey, the model servers and the API's own health report."""

    def __init__(self, redis_url: str, api_url: str, api_key: str = "") -> None:
        self._redis_url = redis_url
        self._api_url = api_url
        self._api_headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # Everything asked here is on this machine: no proxy of the environment.
        self._http = httpx.AsyncClient(timeout=_PATIENCE_S, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def missing(self, specs: Sequence[ProcessSpec]) -> dict[str, str]:
        """Of these processes, those that are not ready, each with the reason."""
        ours = [spec for spec in specs if spec.role in ("router", "worker", "api")]
        health = await self.health() if ours else None
        reasons = {spec.name: health_gap(spec.role, spec.name, health) for spec in ours}
        for spec in specs:
            if spec.role == "valkey":
                reasons[spec.name] = await valkey_gap(self._redis_url)
            elif spec.role == "llama-server":
                reasons[spec.name] = await self._server_gap(spec.address)
        return {name: reason for name, reason in reasons.items() if reason}

    async def health(self) -> dict[str, Any] | None:
        """The API's health report; None while it does not answer."""
        try:
            answer = await self._http.get(f"{self._api_url}/health", headers=self._api_headers)
            report = answer.json()
        except (httpx.HTTPError, ValueError):
            return None
        return report if isinstance(report, dict) else None

    async def _server_gap(self, url: str) -> str:
        try:
            answer = await self._http.get(f"{url}/health")
        except httpx.HTTPError:
            return "it does not answer"
        return "" if answer.status_code == 200 else "it is loading its model"


def health_gap(role: str, name: str, health: Mapping[str, Any] | None) -> str:
    """Why a process of ours is not ready, by the API's health report; empty if it is. Pure."""
    if health is None:
        return "the API does not answer"
    if role == "router":
        alive = (health.get("router") or {}).get("workers", 0)
    elif role == "worker":
        alive = ((health.get("models") or {}).get(name) or {}).get("workers", 0)
    else:
        return ""
    return "" if alive else "it has not reported yet"


def answering(urls: Sequence[str]) -> frozenset[str]:
    """Of these addresses, those where a model server answers, ready or still loading."""
    found = set()
    with httpx.Client(timeout=1.0, trust_env=False) as http:
        for url in urls:
            try:
                status = http.get(f"{url}/health").status_code
            except httpx.HTTPError:
                continue
            if status in (200, 503):
                found.add(url)
    return frozenset(found)


async def valkey_gap(redis_url: str) -> str:
    """Why Valkey is not ready; empty if it is. Speaks its protocol, so needs no client."""
    parts = urlsplit(redis_url)
    try:
        return await asyncio.wait_for(_ping(parts.port or 6379, unquote(parts.password or "")), 2)
    except (OSError, TimeoutError):
        return "it does not answer"


async def _ping(port: int, password: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"AUTH {password}\r\nPING\r\n".encode())
        first, second = await reader.readline(), await reader.readline()
    finally:
        writer.close()
    if second.startswith(b"+PONG"):
        return ""
    return (second or first).decode(errors="replace").strip("-\r\n") or "it does not answer"
