"""How TLS is spoken to services: certificates always checked, TLS 1.2 at least."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

from brokers.errors import DeliveryFailed

_lock = threading.Lock()
_State = tuple[tuple[int, int, int], ...]
_held: dict[tuple[str | None, _State], ssl.SSLContext] = {}


def context(ca_bundle: str | None) -> ssl.SSLContext:
    """The context that trusts the certificates of `ca_bundle` (a PEM file), or, if None, those the machine trusts.

    Made once per state of the files: replaced ones count from the next delivery on, without a restart.
    `SSL_CERT_FILE` and its like are not heeded: in a hook the environment is the pusher's.
    Raises DeliveryFailed, naming the setting, if the file cannot be used.
    """
    try:
        key = (ca_bundle, (_state(Path(ca_bundle)),) if ca_bundle else tuple(_state(path) for path in _machines_own()))
        with _lock:
            if key not in _held:
                for other in [other for other in _held if other[0] == ca_bundle]:
                    del _held[other]
                _held[key] = _made(ca_bundle)
            return _held[key]
    except OSError as error:  # ssl.SSLError is one
        raise DeliveryFailed(
            f"oberon.caBundle {ca_bundle} cannot be used: {error.strerror or error}", endpoint_down=False
        ) from error


def _made(ca_bundle: str | None) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_bundle is not None:
        made.load_verify_locations(ca_bundle)
        return made
    found = _machines_own()
    for path in found:
        if path.is_dir():
            made.load_verify_locations(capath=path)
        else:
            made.load_verify_locations(path)
    if not found:
        from requests.utils import DEFAULT_CA_BUNDLE_PATH

        made.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return made


def _machines_own() -> list[Path]:
    """Where this OpenSSL was built to look, as far as it is there: both, since of some systems' folder it reads nothing, its files
    not being named by their hashes. (`cafile` and `capath` of the same tuple would be the environment's.)
    """
    paths = ssl.get_default_verify_paths()
    file, folder = Path(paths.openssl_cafile), Path(paths.openssl_capath)
    return [*([file] if file.is_file() else []), *([folder] if folder.is_dir() and any(folder.iterdir()) else [])]


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino
