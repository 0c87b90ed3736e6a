"""References to secrets, for values that are not to stand in a configuration file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

REFERENCES = ("file", "env", "credential")

Resolver = Callable[[str], str]
"""From what a file says to the value meant; raises ValueError whose text is the way out."""


def resolver(environ: Mapping[str, str]) -> Resolver:
    """Follows `file:/path`, `env:NAME` and `credential:NAME` (systemd.exec(5), CREDENTIALS); other values stay as they are.

    One newline at the end of a file is not part of the secret.
    """

    def resolve(raw: str) -> str:
        scheme, colon, rest = raw.partition(":")
        if not colon or scheme not in REFERENCES:
            return raw
        if scheme == "env":
            if rest not in environ:
                raise ValueError(f"the variable {rest} is not set where the deliveries run")
            return environ[rest]
        folder = environ.get("CREDENTIALS_DIRECTORY", "") if scheme == "credential" else ""
        if scheme == "credential" and not folder:
            raise ValueError("there is no CREDENTIALS_DIRECTORY: add LoadCredential= to the worker's systemd unit")
        try:
            return (Path(folder) / rest if folder else Path(rest)).read_text("utf-8").removesuffix("\n")
        except (OSError, ValueError) as error:
            raise ValueError(f"cannot be read: {error}") from error

    return resolve
