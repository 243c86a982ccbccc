"""A receiver of webhooks that writes down what it gets, and answers as it is told.

`POST /control {"answers": [...], "then": {...}}` says how: each entry is for one post, `then` for
all that follow. `{"status": 200, "after_s": 0, "headers": {}, "bytes": 0, "drop": false}`.
`bytes` is the length of a body that comes piece by piece, behind a 200. `GET /stats` gives what
came, and how many bytes of such bodies went out.
"""

import argparse
import asyncio
import json
import ssl
from contextlib import suppress
from typing import Any

from tests.fakes.http import Exchange, Gone, serve

PIECE = b"x" * 65_536


class Receiver:
    """What came, and what will be said."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.then: dict[str, Any] = {}
        self.at_once = self.most_at_once = 0
        self.poured = 0

    async def __call__(self, exchange: Exchange) -> None:
        """One request."""
        path = exchange.request.path
        if path == "/stats":
            told = {"got": self.got, "most_at_once": self.most_at_once, "poured": self.poured}
            await exchange.reply(200, told)
        elif path == "/control":
            told = json.loads(exchange.request.body)
            self.answers, self.then = told.get("answers", []), told.get("then", {})
            await exchange.reply(200, {})
        else:
            await self._take(exchange)

    async def _take(self, exchange: Exchange) -> None:
        request = exchange.request
        self.got.append(
            {
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "headers": request.headers,
                "body": request.body.decode(),
            }
        )
        how = self.answers.pop(0) if self.answers else self.then
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._answer(exchange, how)
        finally:
            self.at_once -= 1

    async def _answer(self, exchange: Exchange, how: dict[str, Any]) -> None:
        if after_s := how.get("after_s"):
            try:
                await exchange.unless_gone(asyncio.sleep(after_s))
            except Gone:
                exchange.closing = True
                return
        if how.get("drop"):
            exchange.drop()
            return
        with suppress(ConnectionError):
            if size := how.get("bytes"):
                await self._pour(exchange, size)
                return
            status, headers = how.get("status", 200), how.get("headers")
            await exchange.reply(status, "", kind="text/plain", headers=headers)

    async def _pour(self, exchange: Exchange, size: int) -> None:
        await exchange.begin()
        for _ in range(size // len(PIECE)):
            await exchange.chunk(PIECE)
            self.poured += len(PIECE)
        await exchange.end()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate", default="")
    options = parser.parse_args()
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
    asyncio.run(
        serve(Receiver(), host="127.0.0.1", port=options.port, server="receiver", tls=context)
    )


if __name__ == "__main__":
    main()
