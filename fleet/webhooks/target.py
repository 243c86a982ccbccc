"""Where a webhook goes: its URL, read and held against the rules. Pure."""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from urllib.parse import SplitResult, urlsplit

from fleet.errors import InvalidRequest
from fleet.webhooks.addresses import Address, allowed
from fleet.webhooks.settings import Webhooks

#: Characters of a URL.
LONGEST = 2_048
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?")
_VISIBLE = re.compile(r"[!-\[\]-~]*")  # all but the backslash, which some read as a slash
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in its parts."""

    scheme: str
    host: str
    port: int
    #: With its query.
    path: str

    @property
    def netloc(self) -> str:
        """What the header `Host` says."""
        return self.at(self.host)

    def at(self, host: str) -> str:
        """That host with our port, as a URL has them."""
        shown = f"[{host}]" if ":" in host else host
        return shown if self.port == _PORTS[self.scheme] else f"{shown}:{self.port}"

    def url(self, address: Address) -> str:
        """The URL with an address in the place of the host."""
        return f"{self.scheme}://{self.at(str(address))}{self.path}"


def read_target(url: str, rules: Webhooks) -> Target:
    """Read a URL, and refuse what can be known to be wrong without asking for its name.

    Raises:
        InvalidRequest: it may not be a webhook; the message says why.
    """
    parts, port = _split(url)
    schemes = ("https", "http") if rules.allow_http else ("https",)
    if parts.scheme not in schemes:
        hint = "" if rules.allow_http else " ([webhooks] allow_http = true opens http://)"
        raise _wrong(f"must begin with {' or '.join(f'{s}://' for s in schemes)}{hint}")
    if "@" in parts.netloc:
        raise _wrong("must not hold a user or a password")
    host = parts.hostname or ""
    port = _PORTS[parts.scheme] if port is None else port
    if port not in _PORTS.values() and not 1_024 <= port <= 65_535:
        raise _wrong("the port must be 80, 443, or from 1024 to 65535")
    _check_host(host, rules)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, path)


def _split(url: str) -> tuple[SplitResult, int | None]:
    if len(url) > LONGEST:
        raise _wrong(f"at most {LONGEST} characters")
    if not _VISIBLE.fullmatch(url) or "#" in url:
        raise _wrong("must be plain ASCII without spaces, backslashes and #; encode the rest")
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError:
        raise _wrong("is no URL") from None


def _check_host(host: str, rules: Webhooks) -> None:
    literal = literal_address(host)
    if literal is None:
        if not _HOST.fullmatch(host):
            raise _wrong("has no valid host name")
        local = host.rstrip(".").rpartition(".")[2] == "localhost"
        refused = local and not (rules.allow_private or rules.allow)
    else:
        refused = not allowed(literal, private=rules.allow_private, networks=rules.allow)
    if refused:
        raise _wrong(
            "its host is not on the public internet ([webhooks] allow_private, or allow, opens "
            "other networks)"
        )


def literal_address(host: str) -> Address | None:
    """The address that a host is, in any of the forms that systems read (`127.1`, `0x7f000001`);
    None if it is a name.
    """
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host)) if re.match(r"[0-9]", host) else None
    except (OSError, UnicodeError):
        return None


def _wrong(why: str) -> InvalidRequest:
    return InvalidRequest(f"webhook: {why}", param="webhook")
