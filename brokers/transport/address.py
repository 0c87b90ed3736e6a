"""Where a service may be: judges one resolved address by the words of `allowHosts`.

It is asked about the address that is about to be connected to, never about the text of a URL: `0x7f000001`, `127.1`
and circled digits are all 127.0.0.1 to the resolver, and a name may resolve to something else the second time.

`ipaddress.is_private` and `is_global` alone are not enough: they differ between releases of Python, and 3.11.7 takes
168.63.129.16, 64:ff9b::7f00:1, 2002:7f00:1:: and fec0::1 for ordinary public addresses. So the table is our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Kind(StrEnum):
    """What sort of place an address is. The first three are words of `allowHosts`."""

    EXTERNAL = "external"  #: anywhere on the public internet
    PRIVATE = "private"  #: a network of one's own: RFC 1918, RFC 4193
    LOOPBACK = "loopback"  #: this machine
    SPECIAL = "special"  #: anything else; only a network named in `allowHosts` opens it


# The first row that holds the address counts. Sources: IANA's special-purpose registries (RFC 6890), and the metadata
# services of the large clouds, which hand out credentials to whoever asks: no word may imply those.
_ROWS: tuple[tuple[Kind, str], ...] = (
    (Kind.SPECIAL, "fd00:ec2::/32"),  # metadata: AWS
    (Kind.SPECIAL, "fd20:ce::/32"),  # metadata: Google
    (Kind.SPECIAL, "168.63.129.16/32"),  # metadata: Azure
    (Kind.LOOPBACK, "127.0.0.0/8"),
    (Kind.LOOPBACK, "::1/128"),
    (Kind.PRIVATE, "10.0.0.0/8"),
    (Kind.PRIVATE, "172.16.0.0/12"),
    (Kind.PRIVATE, "192.168.0.0/16"),
    (Kind.PRIVATE, "fc00::/7"),
    (Kind.SPECIAL, "0.0.0.0/8"),  # "this host": Linux connects it to the loopback
    (Kind.SPECIAL, "100.64.0.0/10"),  # carrier-grade NAT; Alibaba's metadata
    (Kind.SPECIAL, "169.254.0.0/16"),  # link-local; metadata of most clouds
    (Kind.SPECIAL, "192.0.0.0/24"),  # IETF protocols; Oracle's metadata
    (Kind.SPECIAL, "192.0.2.0/24"),  # documentation
    (Kind.SPECIAL, "192.88.99.0/24"),  # 6to4 relays
    (Kind.SPECIAL, "198.18.0.0/15"),  # benchmarks
    (Kind.SPECIAL, "198.51.100.0/24"),  # documentation
    (Kind.SPECIAL, "203.0.113.0/24"),  # documentation
    (Kind.SPECIAL, "224.0.0.0/4"),  # multicast
    (Kind.SPECIAL, "240.0.0.0/4"),  # reserved, and 255.255.255.255
    (Kind.SPECIAL, "2001::/23"),  # IETF protocols, Teredo
    (Kind.SPECIAL, "2001:db8::/32"),  # documentation
    (Kind.SPECIAL, "2002::/16"),  # 6to4: an IPv4 address in disguise
    (Kind.SPECIAL, "3fff::/20"),  # documentation
)
_TABLE = tuple((kind, ip_network(network)) for kind, network in _ROWS)
# What IANA has handed out as global unicast. All else (::/96, 64:ff9b::/96, fe80::/10, fec0::/10, ff00::/8 ...) is special.
_GLOBAL_UNICAST = IPv6Network("2000::/3")


def parse(text: str) -> Address:
    """The address that the resolver wrote as `text`; `::ffff:a.b.c.d` is the IPv4 address it stands for."""
    address = ip_address(text.partition("%")[0])  # without the zone of a link-local address
    return getattr(address, "ipv4_mapped", None) or address


def kind_of(address: Address) -> Kind:
    """What sort of place `address` (of `parse`) is."""
    for kind, network in _TABLE:
        if _holds(network, address):
            return kind
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return Kind.SPECIAL
    return Kind.EXTERNAL


def permits(allow_hosts: Sequence[str], host: str, address: Address) -> bool:
    """Whether a service at `host`, which resolved to `address`, may be connected to.

    An entry of `allow_hosts` is a word (`external`, `private`, `loopback`), a network (`10.1.0.0/16`; an address is a
    network of one), or a glob over the whole host name (`*.corp.example`). A host glob opens what the three words
    would, and never a special address; a network opens just itself. An entry that is none of these opens nothing.
    """
    kind = kind_of(address)
    name = host.rstrip(".").lower()
    for entry in allow_hosts:
        if entry.lower() == kind != Kind.SPECIAL:
            return True
        try:
            network = ip_network(entry, strict=False)
        except ValueError:
            if kind != Kind.SPECIAL and fnmatchcase(name, entry.rstrip(".").lower()):
                return True
        else:
            if _holds(network, address):
                return True
    return False


def permits_unresolved(allow_hosts: Sequence[str], host: str) -> bool:
    """Whether a name that a proxy will resolve may be asked for: it must match a glob, or `external` be allowed."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761: the loopback, wherever it is resolved
        return permits(allow_hosts, name, IPv4Address("127.0.0.1"))
    return any(entry.lower() == Kind.EXTERNAL or fnmatchcase(name, entry.rstrip(".").lower()) for entry in allow_hosts)


def _holds(network: Network, address: Address) -> bool:
    return network.version == address.version and address in network
