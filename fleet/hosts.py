"""Addresses."""

import ipaddress
import socket
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that host name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def server_name(url: str) -> str:
    """What all processes call the server at that address: loopback is another on each host."""
    here = f"{socket.gethostname()} " if is_loopback(urlsplit(url).hostname or "") else ""
    return here + url
