"""What every request must pass: the key, the host it is addressed to, the size of its body."""

import hmac
from hashlib import sha256
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.envelope import error_response
from api.keyring import Keyring
from fleet.callers import LOCAL, Caller
from fleet.errors import FleetError, InvalidRequest, StoreUnavailable, TooLarge, Unauthorized
from fleet.hosts import is_loopback
from fleet.settings import Settings

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
#: What may be asked without a key; the answer is one word then.
OPEN = frozenset({"/health", "/ready"})


class Guard:
    """ASGI middleware. As soon as there is a key, in the settings or in Redis, one is needed.
    Without any the API serves this machine only, and checks `Host`: else any web page could
    reach it through a name that resolves to loopback.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        callers = settings.api.callers.items()
        self._callers = [(_digest(key.encode()), Caller(name)) for key, name in callers]
        health_key = settings.api.health_key
        self._health_key = _digest(health_key.encode()) if health_key else None
        self._most = settings.limits.body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        try:
            key = _presented(headers)
            scope["caller"] = caller = await self._caller(scope, key)
            scope["trusted"] = caller is not None or self._watches(key)
            self._check(scope, headers)
            await self._app(scope, self._bounded(receive), send)
        except FleetError as error:
            await error_response(error, scope["path"])(scope, receive, send)

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        caller = scope["caller"]
        if caller is None and scope["path"] not in OPEN:
            raise Unauthorized
        if caller and caller.name == LOCAL:
            _refuse_others(scope.get("client"), headers.get(b"host", b"").decode("latin-1"))
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            raise InvalidRequest("Content-Length is no number")
        if int(length) > self._most:
            raise self._too_large()

    async def _caller(self, scope: Scope, key: bytes) -> Caller | None:
        """Whose key it is; `local` where there are no keys at all.

        Raises:
            StoreUnavailable: only Redis can tell, and it is away.
        """
        if found := self._in_settings(key):
            return found
        keyring: Keyring = scope["app"].state.fleet.keyring
        try:
            if found := await keyring.caller(key):
                return found
            return None if self._callers or await keyring.any() else Caller(LOCAL)
        except StoreUnavailable:
            if scope["path"] not in OPEN:
                raise
            return None if self._callers or keyring.any_seen else Caller(LOCAL)

    def _in_settings(self, key: bytes) -> Caller | None:
        """The key is held against all of them, so that the time tells nothing."""
        given, found = _digest(key), None
        for known, caller in self._callers:
            if hmac.compare_digest(given, known):
                found = caller
        return found

    def _watches(self, key: bytes) -> bool:
        return self._health_key is not None and hmac.compare_digest(_digest(key), self._health_key)

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


def _presented(headers: dict[bytes, bytes]) -> bytes:
    """The key that a request brings, in OpenAI's way or else in Anthropic's; empty if there is
    none.
    """
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and key.strip():
        return key.strip()
    return headers.get(b"x-api-key", b"").strip()


def _refuse_others(peer: tuple[str, int] | None, host: str) -> None:
    """Without keys only this machine is served, under its own names."""
    cure = "make a key with `fleet keys create NAME`, or set FLEET_API__KEY, to serve others"
    if peer and not is_loopback(peer[0]):
        raise Unauthorized(f"without a key only this machine is served; {cure}")
    if _without_port(host) not in LOOPBACK:
        raise InvalidRequest(f"Host {host!r} is not this machine; {cure}")


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _digest(key: bytes) -> bytes:
    return sha256(key).digest()


def trusted(scope: Any) -> bool:
    """Whether the request carried a key (or none is needed), be it one for `/health` only."""
    return bool(scope.get("trusted"))


async def _asking(request: Request) -> Caller:  # a plain function would cost a thread
    return cast(Caller, request.scope["caller"])


#: Whoever asks: nobody sees another caller's jobs.
Asking = Annotated[Caller, Depends(_asking)]
