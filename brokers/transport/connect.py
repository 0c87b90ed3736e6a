"""A TCP connection to a service, by the rules of its call: deadline, address guard, watchdog."""

from __future__ import annotations

import os
import socket
from typing import Any

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.transport import address
from brokers.transport.call import Call
from brokers.transport.deadline import GRACE_S, Watchdog, lookup


def connect(host: str, port: int, call: Call, watchdog: Watchdog, *, guarded: bool = True) -> socket.socket:
    """A socket connected to `host`, watched by `watchdog`.

    Each address of the name is judged as it is, and just those that `allow_hosts` permits are tried, in the resolver's
    order, each with an equal share of the time left. `guarded=False`: the admin's own proxy, which needs no leave.
    Raises PermanentFailure if every address is barred, else DeliveryFailed.
    """
    place = f"{host}:{port}"
    permitted = resolve(host, port, call, watchdog, guarded=guarded)
    failure: OSError | None = None
    for number, (family, where) in enumerate(permitted):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            watchdog.watch(connection)
            connection.settimeout(max(0.001, call.remaining_s() / (len(permitted) - number)))
            connection.connect(where)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(call.remaining_s() + GRACE_S)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    if watchdog.fired or isinstance(failure, TimeoutError):
        raise timed_out(watchdog, f"connecting to {place}") from failure
    raise DeliveryFailed(f"cannot connect to {place}: {_words(failure)}") from failure


def resolve(
    host: str, port: int, call: Call, watchdog: Watchdog, *, guarded: bool = True
) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """(family, socket address) of each address of `host` that may be connected to, in the resolver's order; at least one.

    Raises as `connect`.
    """
    try:
        found = lookup(host, port, call.remaining_s())
    except TimeoutError as error:
        raise timed_out(watchdog, f"looking up {host}") from error
    except (OSError, UnicodeError) as error:
        raise DeliveryFailed(f"cannot find {host}: {_words(error)}") from error
    permitted = [row for row in found if not guarded or address.permits(call.allow_hosts, host, address.parse(row[1][0]))]
    if not permitted:
        raise barred(call, host, sorted({row[1][0] for row in found}))
    return permitted


def check_proxied(host: str, call: Call) -> None:
    """Judge a host that the admin's proxy will look up: by its address if it is one, else by its name.

    Raises PermanentFailure.
    """
    try:  # every form in which an address can be written, `0x7f000001` too
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        if not address.permits_unresolved(call.allow_hosts, host):
            raise barred(call, host, []) from None
        return
    if not address.permits(call.allow_hosts, host, address.parse(str(found[0][4][0]))):
        raise barred(call, host, [str(found[0][4][0])])


def barred(call: Call, host: str, addresses: list[str]) -> PermanentFailure:
    """The error for a service that is where `allowHosts` does not let it be; [] if a proxy would look the name up."""
    shown = f"{host} ({', '.join(addresses)})" if addresses and addresses != [host] else host
    kinds = sorted({str(address.kind_of(address.parse(one))) for one in addresses})
    what = f"{' and '.join(kinds)} address" if kinds else "name"
    return PermanentFailure(
        f"{shown}: deliveries to this {what} are not allowed; "
        f"allowHosts is `{' '.join(call.allow_hosts)}`: add its network or its name if it is meant"
    )


def timed_out(watchdog: Watchdog, doing: str) -> DeliveryFailed:
    """The error for an attempt that took too long while `doing` something."""
    return DeliveryFailed(f"timed out after {round(watchdog.delay_s, 1):g} s, {doing}", slow_down=True)


def _words(error: BaseException | None) -> str:
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    if isinstance(error, socket.gaierror):  # its numbers are getaddrinfo's own (negative on Linux)
        return str(error.strerror).lower()
    return str(error)
