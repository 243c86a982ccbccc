"""Talks to our API over HTTP, as any caller would."""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from cli import runstate
from cli.failures import ApiError, NoFleet
from cli.sse import Frame, SseDecoder
from fleet import settings as configuration
from fleet.errors import ConfigError
from fleet.events import TERMINAL_KINDS
from fleet.hosts import is_loopback

#: The API sends a comment every 15 s at the latest; silence for longer is a dead connection.
_SILENCE_S = 60.0
#: How long to go on trying when a stream that was there cannot be had again.
_RECONNECT_S = 30.0
_HEALTH_S = 5.0

_HOST = re.compile(r"[\w.:-]+")


def find_api(url: str | None, home: Path) -> tuple[str, str]:
    """Address and key: what is named, else the fleet that runs here, else the settings."""
    key = os.environ.get("FLEET_KEY")
    if url is None and (state := runstate.running(home)):
        return state.api_url, key or os.environ.get("FLEET_API__KEY") or state.api_key
    settings = configuration.load()
    named = f"http://{settings.api.host}:{settings.api.port}" if url is None else address(url)
    return named.rstrip("/"), key or settings.api.own_key


def address(text: str) -> str:
    """The address that somebody typed; without a scheme it is http. Pure.

    Raises:
        ConfigError: it is none.
    """
    url = text if "://" in text else f"http://{text}"
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = None
    if parsed is None or parsed.scheme not in ("http", "https") or not _HOST.fullmatch(parsed.host):
        raise ConfigError(f"--url {text!r}: give an address such as http://127.0.0.1:8000")
    return url


class FleetClient:
    """The calls that the commands need."""

    def __init__(self, base_url: str, key: str = "") -> None:
        self.base_url = base_url
        #: When it was there last; None: never yet. Whoever was there may be being restarted.
        self._seen_at: float | None = None
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers=headers,
            timeout=httpx.Timeout(30.0, connect=5.0, read=_SILENCE_S),
            # A proxy of the environment has no business between us and loopback.
            trust_env=not is_loopback(urlsplit(base_url).hostname or ""),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def submit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Hand in a job."""
        return await self._call("POST", "/v1/jobs", json=body)

    async def job(self, job_id: str) -> dict[str, Any]:
        """One job as it stands."""
        return await self._call("GET", f"/v1/jobs/{job_id}")

    async def jobs(self, **wanted: str | int | None) -> dict[str, Any]:
        """The latest jobs."""
        given = {key: value for key, value in wanted.items() if value is not None}
        return await self._call("GET", "/v1/jobs", params=given)

    async def cancel(self, job_id: str) -> dict[str, Any]:
        """Cancel a job, in whatever state it is."""
        return await self._call("POST", f"/v1/jobs/{job_id}/cancel")

    async def health(self) -> dict[str, Any] | None:
        """The API's health report, good or bad; None while it does not answer."""
        try:
            answer = await self._http.get("/health", timeout=_HEALTH_S)
            report = answer.json()
        except (httpx.HTTPError, ValueError):
            return None
        return report if isinstance(report, dict) else None

    async def events(self, job_id: str) -> AsyncIterator[Frame]:
        """Every event of a job up to its last one; goes on where it stopped after a cut.

        Raises:
            NoFleet: the API is not there, or did not come back.
            ApiError: it does not know the job.
        """
        last_id = ""
        while True:
            try:
                async for frame in self._stream(job_id, last_id):
                    last_id = frame.id or last_id
                    yield frame
                    if frame.kind in TERMINAL_KINDS:
                        return
            except _NothingLeft:
                return
            except httpx.TransportError:
                if self._seen_at is None or time.monotonic() - self._seen_at > _RECONNECT_S:
                    raise NoFleet(self.base_url) from None
            await asyncio.sleep(0.2)

    async def _stream(self, job_id: str, last_id: str) -> AsyncIterator[Frame]:
        headers = {"Accept": "text/event-stream"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        decoder = SseDecoder()
        async with self._http.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as answer:
            if answer.status_code == 204:
                raise _NothingLeft
            if answer.status_code in (502, 503, 504):  # it is being restarted
                raise httpx.RemoteProtocolError("not now")
            if answer.is_error:
                await answer.aread()
                raise _refusal(answer)
            try:
                async for block in answer.aiter_bytes():
                    for frame in decoder.feed(block):
                        yield frame
            finally:
                self._seen_at = time.monotonic()

    async def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, path, **arguments)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol):
            raise NoFleet(self.base_url) from None
        except httpx.HTTPError as error:
            raise ApiError(0, {"message": f"{self.base_url}: {error or type(error)}"}) from None
        self._seen_at = time.monotonic()
        if answer.is_error:
            raise _refusal(answer)
        return _object(answer)


class _NothingLeft(Exception):
    """The job has ended, and everything was read."""


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        decoded = answer.json()
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        raise ApiError(answer.status_code, {"message": f"{answer.url} is not a fleet's API"})
    return decoded


def _refusal(answer: httpx.Response) -> ApiError:
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = None
    if not isinstance(error, dict):
        error = {"message": f"{answer.url} answered {answer.status_code}"}
    elif answer.status_code == 401:
        error = {**error, "message": _no_entry("authorization" in answer.request.headers)}
    return ApiError(answer.status_code, error)


def _no_entry(had_key: bool) -> str:
    """What helps against a 401. Pure."""
    problem = (
        "This fleet does not take the key that was sent" if had_key else "This fleet needs a key"
    )
    return f"{problem}: set FLEET_KEY to one that `fleet keys create NAME` has shown."
