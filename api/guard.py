"""What every request must pass: the key, the host it is addressed to, the size of its body."""

import hmac
from hashlib import sha256
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.envelope import error_response
from fleet.callers import LOCAL, Caller
from fleet.errors import FleetError, InvalidRequest, TooLarge, Unauthorized
from fleet.hosts import is_loopback
from fleet.settings import Settings

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
#: What may be asked without a key; the answer is one word then.
OPEN = frozenset({"/health", "/ready"})


class Guard:
    """ASGI middleware. Without a key the API serves this machine only, and checks `Host`:
    else any web page could reach it through a name that resolves to loopback.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        callers = settings.api.callers.items()
        self._callers = [(_digest(key.encode()), Caller(name)) for key, name in callers]
        self._most = settings.limits.body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        scope["caller"] = self._caller(headers)
        try:
            self._check(scope, headers)
            await self._app(scope, self._bounded(receive), send)
        except FleetError as error:
            await error_response(error, scope["path"])(scope, receive, send)

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        if scope["caller"] is None and scope["path"] not in OPEN:
            raise Unauthorized
        if not self._callers:
            peer = scope.get("client")
            if peer and not is_loopback(peer[0]):
                raise Unauthorized("set FLEET_API__KEY to serve other machines")
            host = headers.get(b"host", b"").decode("latin-1")
            if _without_port(host) not in LOOPBACK:
                raise InvalidRequest(
                    f"Host {host!r} is not this machine; set FLEET_API__KEY to serve others"
                )
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            raise InvalidRequest("Content-Length is no number")
        if int(length) > self._most:
            raise self._too_large()

    def _caller(self, headers: dict[bytes, bytes]) -> Caller | None:
        """Whose key it is. It is held against all of them, so that the time tells nothing."""
        if not self._callers:
            return Caller(LOCAL)
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        given, found = _digest(key.strip()), None
        for known, caller in self._callers:
            if hmac.compare_digest(given, known):
                found = caller
        return found if scheme.lower() == b"bearer" else None

    def _bounded(self, receive: Receive) -> Receive:
        """`receive`, refusing a body that grows too large without having said so."""
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:  # FastAPI lets only its own errors out of the reading of a body
                raise HTTPException(413, self._too_large().message)
            return message

        return bounded

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body may have {self._most} bytes ([limits] body_bytes)")


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _digest(key: bytes) -> bytes:
    return sha256(key).digest()


def trusted(scope: Any) -> bool:
    """Whether the request carried a key (or none is needed)."""
    return scope.get("caller") is not None


async def _asking(request: Request) -> Caller:  # a plain function would cost a thread
    return cast(Caller, request.scope["caller"])


#: Whoever asks: nobody sees another caller's jobs.
Asking = Annotated[Caller, Depends(_asking)]
