"""Which version of what is installed beside us."""

from __future__ import annotations

from importlib import metadata

DISTRIBUTION = "oberon-brokers"


def own_version() -> str:
    """Oberon's version; `unknown` where it runs from a folder that was never installed."""
    return version_of(DISTRIBUTION) or "unknown"


def version_of(distribution: str) -> str | None:
    """The version of an installed distribution; None if there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
