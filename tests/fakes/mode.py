"""How a fake shall behave: for all requests (`POST /control`) or for one (a directive).

A directive may stand in any message's text: `[[fake n=5 ttft=50 fail=503]]`. It is laid over
what /control said; the last directive of a conversation counts, of those that name no server
(`at=NAME`: its `--name`) or this one. K counts tokens already sent.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DIRECTIVE = re.compile(r"\[\[fake\s+([^\]]*)\]\]")


class UnknownMode(ValueError):
    """A test asked for a behaviour that no fake has."""


@dataclass(frozen=True)
class Mode:
    """What to do with a request. As it stands: answer well."""

    #: Tokens of the answer (default: the program's own).
    n: int | None = None
    #: Milliseconds to the first token (default: the program's own).
    ttft: float | None = None
    #: Tokens a second; 0: as fast as the client takes them (default: the program's own).
    tps: float | None = None
    #: Answer with this HTTP status and an error body.
    fail: int | None = None
    #: Value of a `retry-after` header beside `fail`.
    retry_after: int | None = None
    #: Reset the connection instead of answering.
    refuse: int = 0
    #: Answer 503 "Loading model"; server-wide also to /health.
    loading: int = 0
    #: Answer 400 `exceed_context_size_error`.
    context: int = 0
    #: Close the connection after K tokens, as a killed process does.
    cut: int | None = None
    #: End the body properly after all tokens, but never say that the answer has ended.
    noend: int = 0
    #: Say nothing more after K tokens; 0: after the head of the reply.
    stall: int | None = None
    #: N tokens as fast as the client takes them.
    flood: int | None = None
    #: After K tokens, one frame that is not JSON.
    malformed: int | None = None
    #: After K tokens, an error as a frame of the stream, which ends there.
    error_event: int | None = None
    #: Begin with K tokens of reasoning.
    reasoning: int = 0
    #: Call a tool instead of answering: the first one of the request, or `get_weather`. The fake
    #: of Anthropic's API says a word first, and calls it so many times.
    tool: int = 0
    #: Call it without arguments (Anthropic's only).
    bare: int = 0
    #: Tokens of the prompt that were in a cache (Anthropic's only).
    cached: int = 0
    #: Server-wide: keep no streams and know nothing of them, as an old llama-server.
    old: int = 0
    #: After K tokens, lose all kept streams, as a process that was killed and started again.
    forget: int | None = None
    #: Server-wide: let nobody attach, as if the offset had dropped out of what is kept.
    behind: int = 0
    #: Words of no other answer: each ends with a mark that is this request's own.
    marked: int = 0
    #: What to say as the reason for the end, in the server's own words.
    finish: str = ""
    #: Instead of a stream, with a 200: `html` (a proxy's page), `json` (a whole body), `empty` (no
    #: body), `blank` (only comments and empty lines) or `pings` (comments, for ever).
    instead: str = ""

    def over(self, values: Mapping[str, Any]) -> "Mode":
        """This mode with some values changed.

        Raises:
            UnknownMode: there is no such behaviour, or the value is not of its kind.
        """
        typed: dict[str, Any] = {key: _typed(key, value) for key, value in values.items()}
        return dataclasses.replace(self, **typed)

    def over_directive(self, text: str, server: str = "") -> "Mode":
        """This mode with what the last directive in `text` says that is for that server."""
        found = [
            dict(word.partition("=")[::2] for word in words.split())
            for words in _DIRECTIVE.findall(text)
        ]
        meant = [values for values in found if values.pop("at", server) == server]
        return self.over(meant[-1]) if meant else self


_KINDS: Mapping[str, type[int] | type[float] | type[str]] = {
    **dict.fromkeys((field.name for field in dataclasses.fields(Mode)), int),
    "ttft": float,
    "tps": float,
    "finish": str,
    "instead": str,
}


def _typed(key: str, value: Any) -> int | float | str | None:
    if key not in _KINDS:
        raise UnknownMode(f"no such behaviour: {key}; there are: {', '.join(_KINDS)}")
    try:
        return None if value is None else _KINDS[key](value)
    except ValueError:
        raise UnknownMode(f"{key}={value!r} is not a number") from None
