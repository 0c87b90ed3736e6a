"""Where Oberon keeps its state, and how that folder is made. On the hooks' path: no `os` (see `brokers.delivery`).

STATE_DIR/
    spool/tmp/         events being written
    spool/new/         events for the worker
    spool/bad/         files that were no events
    outbox.sqlite3     deliveries and their record
    ballast            room for when the disk is full
    worker.lock        held by the one worker
    oberon.sock        wakes it
    worker.log         what it said
    brokers.json       which broker files it has loaded

It is its user's alone, or shared: prepared by `oberon init --group` for hooks that run as many users (`layout.py`).
"""

import posix

from brokers.delivery.surroundings import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_DIR = "/var/lib/oberon"
PRIVATE_MODE = 0o700
DROP_BOX_MODE = 0o3733
"""Of spool/new and spool/tmp in a shared state directory: add, but not list; what lies there is its owner's (see `layout.py`)."""


def choose(configured: str | None, environ: "Mapping[str, str]", beside: str | None = None) -> str:
    """The state directory: `configured` (`oberon.stateDir`) if it is an absolute path, else the first that can be had.

    `beside` is the git directory or `.hg`, for users without a home (some web servers); None where no repository is at
    hand. Order: /var/lib/oberon if writable, $XDG_STATE_HOME/oberon, ~/.local/state/oberon, `beside`/oberon.
    """
    configured = (configured or "").strip()
    if configured.startswith("~"):
        from os.path import expanduser

        configured = expanduser(configured)
    if configured.startswith("/"):  # a relative one is an error that `oberon doctor` reports
        return configured
    if _can_write(SYSTEM_DIR) or _can_write(f"{SYSTEM_DIR}/spool/new"):
        return SYSTEM_DIR
    state_home = environ.get("XDG_STATE_HOME", "")
    home = environ.get("HOME", "")
    if not state_home.startswith("/") and home.startswith("/"):
        state_home = f"{home.rstrip('/')}/.local/state"
    if state_home.startswith("/") and (beside is None or _can_make(state_home)):
        return f"{state_home.rstrip('/')}/oberon"
    if beside is not None:
        return f"{absolute(beside)}/oberon"
    return SYSTEM_DIR


def prepare(state_dir: str) -> None:
    """Make what is missing of `state_dir`, for its user alone; leave what is there as it is. Raises OSError."""
    if is_directory(f"{state_dir}/spool/new"):
        return
    import os

    state_dir = os.path.abspath(state_dir)  # a relative path has no last directory to stop at
    changed = [os.path.join(state_dir, "spool"), state_dir]
    while not os.path.isdir(changed[-1]):
        changed.append(os.path.dirname(changed[-1]))
    os.makedirs(state_dir, PRIVATE_MODE, exist_ok=True)
    for part in ("spool", "spool/tmp", "spool/bad", "spool/new"):
        try:
            os.mkdir(os.path.join(state_dir, part), PRIVATE_MODE)
        except FileExistsError:
            pass  # another hook made it a moment ago
    for folder in changed:
        _sync(folder)


def _sync(folder: str) -> None:
    """See to it that the entries of a directory outlive a power cut: without the way to it, an event would be lost."""
    try:
        descriptor = posix.open(folder, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except PermissionError:
        return  # one that may be added to, but not read
    try:
        posix.fsync(descriptor)
    finally:
        posix.close(descriptor)


def is_shared(state_dir: str) -> bool:
    """Whether `oberon init --group` has prepared it: hooks only add to the spool there, and the worker runs as a service."""
    try:
        return posix.lstat(f"{state_dir}/spool/new").st_mode & 0o7777 == DROP_BOX_MODE
    except OSError:
        return False  # not there, or not for us


def _can_write(path: str) -> bool:
    return is_directory(path) and posix.access(path, posix.W_OK | posix.X_OK)


def _can_make(path: str) -> bool:
    """Whether `path` is a directory one may write, or could be made under the nearest directory that is there."""
    while path and not posix.access(path, posix.F_OK):
        path = path.rpartition("/")[0]
    return _can_write(path or "/")


def is_directory(path: str) -> bool:
    """`os.path.isdir`."""
    try:
        posix.stat(f"{path}/")  # so nothing else is found
    except (OSError, ValueError):
        return False
    return True
