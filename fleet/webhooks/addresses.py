"""Which addresses a webhook may be sent to. Pure.

Whoever posts a job chooses where we connect to, so by default it is the public internet
only: not this machine, not our networks, not a cloud's metadata service.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: What `allow_private` opens.
PRIVATE: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
            *("::1/128", "fc00::/7"),
        ),
    )
)
#: IPv6 addresses that carry an IPv4 address, which might be any.
CARRIERS: tuple[Network, ...] = tuple(
    map(
        ip_network,
        ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"),
    )
)

#: What some versions of Python, or all, call public, and is not: addresses by which clouds serve
#: their own machines (192.0.0.192, 168.63.129.16), relays, documentation, segment routing.
NEVER: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            *("192.0.0.0/24", "168.63.129.16/32", "192.88.99.0/24"),
            *("3fff::/20", "5f00::/16"),
        ),
    )
)


def allowed(address: Address, *, private: bool, networks: Iterable[Network] = ()) -> bool:
    """Whether a webhook may go there: to the internet, with `private` to our own networks too,
    and to `networks` always.
    """
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    if _is_in(address, networks) or (private and _is_in(address, PRIVATE)):
        return True
    return _is_public(address) and not _is_in(address, (*CARRIERS, *NEVER))


def _is_public(address: Address) -> bool:
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or address.is_link_local
        or (isinstance(address, IPv6Address) and address.is_site_local)
    )


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
