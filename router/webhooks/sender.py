"""One try: the name, the guard, the post, the answer's head."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from fleet import __version__
from fleet.errors import InvalidRequest
from fleet.webhooks.addresses import Address, allowed
from fleet.webhooks.schedule import Answer
from fleet.webhooks.settings import Webhooks
from fleet.webhooks.target import Target, read_target
from router.webhooks.resolver import Resolve

if TYPE_CHECKING:
    import httpx

#: Addresses of one host that are tried, and bytes and seconds of an answer's body that are
#: listened to, so that a receiver can end in good order. They are dropped.
ADDRESSES_MOST = 3
BODY_MOST = 16_384
BODY_S = 1.0
NOT_PUBLIC = "an address of its host is not on the public internet"


class Sender:
    """Posts to receivers. The connection goes to the address that was checked: asking for the
    name again could bring another one.
    """

    def __init__(self, rules: Webhooks, resolve: Resolve) -> None:
        self._rules = rules
        self._resolve = resolve
        self._making = asyncio.Lock()
        self._made: httpx.AsyncClient | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: str) -> Answer:
        """Try once. Whatever goes wrong is an answer, too."""
        client = await self._client()
        import httpx

        try:
            async with asyncio.timeout(self._rules.timeout_s):
                target = read_target(url, self._rules)
                addresses = await self._addresses(target)
                reply = await self._post(client, target, addresses, headers, body)
        except InvalidRequest as error:
            return Answer(error=error.message)
        except (TimeoutError, httpx.TimeoutException):
            return Answer(error=f"no answer within {self._rules.timeout_s:g} s")
        except httpx.HTTPError as error:
            return Answer(error=_in_words(error))
        except OSError:
            return Answer(error="the name of its host is not known")
        await _hear_out(reply)
        return Answer(reply.status_code, "", reply.headers.get("retry-after", ""))

    async def aclose(self) -> None:
        """Close what is open."""
        if self._made is not None:
            await self._made.aclose()

    async def _addresses(self, target: Target) -> list[Address]:
        """Those of the host, if all of them may be connected to."""
        found = await self._resolve(target.host, target.port)
        rules = self._rules
        if not found:
            raise OSError
        if not all(allowed(a, private=rules.allow_private, networks=rules.allow) for a in found):
            raise InvalidRequest(NOT_PUBLIC)
        return list(dict.fromkeys(found))[:ADDRESSES_MOST]

    async def _post(
        self,
        client: "httpx.AsyncClient",
        target: Target,
        addresses: Sequence[Address],
        headers: Mapping[str, str],
        body: str,
    ) -> "httpx.Response":
        """The head of the answer, from the first of the addresses where somebody listens."""
        import httpx

        for address in addresses[:-1]:
            with suppress(httpx.ConnectError):
                return await client.send(
                    _request(client, target, address, headers, body), stream=True
                )
        last = _request(client, target, addresses[-1], headers, body)
        return await client.send(last, stream=True)

    async def _client(self) -> "httpx.AsyncClient":
        """Made when it is needed, and in a thread: it takes longer than many decisions."""
        async with self._making:
            if self._made is None:
                self._made = await asyncio.to_thread(_make_client, self._rules)
        return self._made


def _make_client(rules: Webhooks) -> "httpx.AsyncClient":
    import httpx

    return httpx.AsyncClient(
        verify=ssl.create_default_context(cafile=rules.ca_file) if rules.ca_file else True,
        # No proxy of the environment, no redirect: both would lead where nobody has looked.
        trust_env=False,
        follow_redirects=False,
        # A kept connection would be found by its address, and used for another name there.
        limits=httpx.Limits(max_keepalive_connections=0),
        timeout=rules.timeout_s,
    )


def _request(
    client: "httpx.AsyncClient",
    target: Target,
    address: Address,
    headers: Mapping[str, str],
    body: str,
) -> "httpx.Request":
    head = {
        "host": target.netloc,
        "content-type": "application/json",
        "user-agent": f"chat-fleet/{__version__}",
        "accept-encoding": "identity",
        **headers,
    }
    extensions = {"sni_hostname": target.host.rstrip(".")}
    url = target.url(address)
    return client.build_request("POST", url, headers=head, content=body, extensions=extensions)


async def _hear_out(reply: "httpx.Response") -> None:
    """The head has said it all; the rest is read only so far."""
    import httpx

    heard = 0
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(BODY_S):
            async for piece in reply.aiter_raw():
                heard += len(piece)
                if heard > BODY_MOST:
                    break
    await reply.aclose()


def _in_words(error: "httpx.HTTPError") -> str:
    import httpx

    if not isinstance(error, httpx.ConnectError):
        return "the connection broke before there was an answer"
    text = str(error)
    _, found, reason = text.partition("certificate verify failed: ")
    if found:
        return f"its certificate is not valid: {reason.partition(' (_ssl')[0]}"
    return "TLS could not be agreed on" if "SSL" in text else "nobody listens at its address"
