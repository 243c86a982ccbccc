"""`curl URL -d '{...}'` says that its JSON is a form. Believe the braces instead."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from fleet.errors import InvalidRequest

MISLABELLED = ("", "application/x-www-form-urlencoded", "text/plain")


class JsonAnyhow(APIRoute):
    """Reads a body that starts with `{` as JSON when its type is empty, form or text.

    A browser sends such types across sites without asking; what it says of itself in
    `Sec-Fetch-Site` keeps other sites' pages out.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler behind the re-labelling."""
        handler = super().get_route_handler()

        async def relabelling(request: Request) -> Response:
            declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if declared in MISLABELLED:
                if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
                    raise InvalidRequest("send Content-Type: application/json from another site")
                if (await request.body()).lstrip()[:1] == b"{":
                    _relabel(request)
            return await handler(request)

        return relabelling


def _relabel(request: Request) -> None:
    kept = [(k, v) for k, v in request.scope["headers"] if k != b"content-type"]
    request.scope["headers"] = [*kept, (b"content-type", b"application/json")]
    if hasattr(request, "_headers"):
        del request._headers
