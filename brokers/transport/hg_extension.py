"""Mercurial's own process for `brokers.transport.hg_push`: an extension, loaded by its path, that imports nothing of Oberon.

It connects to the addresses it is given instead of looking the host up, and to no other host; and it knows the password,
which stands in no argument list and no file.
"""

from __future__ import annotations

import os
import socket
from itertools import chain
from typing import Any

testedwith = b"6.3 7.2"

HOST, ADDRESSES = "OBERON_PUSH_HOST", "OBERON_PUSH_ADDRESSES"
"""Variables: the host's name, and its addresses with spaces between; without addresses hg looks it up."""
PREFIX, USER, PASSWORD = "OBERON_PUSH_PREFIX", "OBERON_PUSH_USER", "OBERON_PUSH_PASSWORD"
"""Variables: where the login holds, as https://host/, and the login."""


_look_up = socket.getaddrinfo


def reposetup(_ui: Any, repo: Any) -> None:
    """What Mercurial calls for each repository that it opens."""
    if prefix := os.environ.get(PREFIX):
        for name, value in (("prefix", prefix), ("username", os.environ[USER]), ("password", os.environ[PASSWORD])):
            repo.ui.setconfig(b"auth", b"oberon-push." + name.encode(), os.fsencode(value), b"oberon")
    addresses = os.environ.get(ADDRESSES, "").split()
    if not addresses:
        return
    host = os.environ[HOST]

    def judged(name: str | bytes | None, *arguments: Any, **options: Any) -> list[Any]:
        if os.fsdecode(name or b"").lower() != host:
            raise OSError(f"{os.fsdecode(name or b'')} is not where this push goes")
        return list(chain.from_iterable(_look_up(address, *arguments, **options) for address in addresses))

    socket.getaddrinfo = judged  # type: ignore[assignment]  # its signature is longer
