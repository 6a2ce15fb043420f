"""Which machines a host's name may lead to: public ones, every one of its addresses.

What connects takes the address that was checked here, so that a name cannot lead elsewhere the
second time it is asked (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    Resolve = Callable[[str, int], list[str]]

# IPv6 that holds an IPv4 address: mapped, NAT64, 6to4, Teredo, compatible
HOLDING = tuple(
    ipaddress.IPv6Network(net)
    for net in (
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
        "::/96",
    )
)


def is_public(address: str) -> bool:
    """Whether an address is one machine of the internet: no loopback, link, private or shared one,
    no group, and no other protocol's address in disguise.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and any(ip in net for net in HOLDING):
        return False
    return ip.is_global and not ip.is_multicast


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a host, as this machine knows it. Raises InputError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(f"{host}: no such host ({error})") from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def checked_address(
    host: str, port: int, resolve: Resolve, is_allowed: Callable[[str], bool]
) -> str:
    """The first address of a host. Raises InputError where one of them may not be reached."""
    addresses = resolve(host, port)
    if not addresses:
        raise InputError(f"{host}: no such host")
    if refused := [one for one in addresses if not is_allowed(one)]:
        raise InputError(f"{host} leads to {refused[0]}, which is no public address: not fetched")
    return addresses[0]
