"""The spool: one file for each event, whole or not there. The hooks write it, the worker empties it.

A file is opened in `tmp/` (O_EXCL, O_NOFOLLOW), written, fsynced, renamed into `new/`, and the directory fsynced; so when
`write` returns, the event survives a killed process and a lost power supply. Inside: one line `oberon-event 1 LENGTH
SHA256`, then the JSON of `payload.push.Event.to_record`, ASCII. What does not check goes to `bad/` and is never tried again.

In a shared state directory (`layout.py`) the hooks are many users, and the worker believes of a file's owner only what the
kernel says.

On the hooks' path: no `os` (see `brokers.delivery`); `json` (15 ms, most of it `re`) and `hashlib` (6 ms, OpenSSL) are avoided for
the writing half.
"""

import posix
import sys
import time

from brokers.delivery.statedir import DROP_BOX_MODE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MAGIC = "oberon-event 1"
MAX_BYTES = 64 * 1024 * 1024  # 500,000 refs in one push; a larger file is none of ours
STALE_S = 36 * 3600  # of a file in tmp/, as maildir(5) has it
SHARED_FILE_MODE = 0o640  # its group is the worker's, from the directory


class BadSpoolFile(Exception):
    """A file in the spool that is no event; `reason` says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


# --------------------------------------------------------------------------------------------------------- the hooks' half


def new_id() -> str:
    """An event's id, 32 hex digits: the time in nanoseconds, then 64 random bits.

    The time keeps two events of one process in order, as with hg's two changegroups of one bundle: a file's modification
    time moves with the kernel's tick, 4 ms and more.
    """
    return f"{time.time_ns():016x}{posix.urandom(8).hex()}"


def write(state_dir: str, record: "dict[str, Any]") -> str:
    """Put an event into the spool; its path. `record` is of `Event.to_record`'s shape.

    Raises OSError, also where no worker could read the file: a private spool of another user, one that is no directory.
    After an error the event may still be there (a failed fsync of the directory): its id makes that harmless.
    """
    name = record["id"]
    data = encode(record)
    draft = f"{state_dir}/spool/tmp/{name}.{posix.getpid()}"
    new = f"{state_dir}/spool/new"
    final = f"{new}/{name}"
    box = _drop_box(new)
    descriptor = posix.open(draft, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC, 0o600)
    try:
        try:
            _open_to_worker(descriptor, box)
            written = 0
            while written < len(data):
                written += posix.write(descriptor, data[written:])
            posix.fsync(descriptor)
            posix.rename(draft, final)
            _sync_directory(new, descriptor)
        finally:
            posix.close(descriptor)
    except BaseException:
        try:
            posix.unlink(draft)
        except OSError:
            pass  # it may be renamed already, or the disk is gone; the worker removes stale drafts
        raise
    return final


def _drop_box(new: str) -> posix.stat_result:
    """What `new` is. Raises OSError if no worker could, or would, read what is put there."""
    found = posix.lstat(new)
    if not S_ISDIR(found.st_mode):
        from errno import ENOTDIR

        raise NotADirectoryError(ENOTDIR, f"{new} is not a directory, or a symbolic link")
    if found.st_uid != posix.geteuid() != 0 and not _is_shared(found):
        from errno import EACCES

        raise PermissionError(EACCES, f"{new} is another user's, and not shared")
    return found


def _is_shared(box: posix.stat_result) -> bool:
    return box.st_mode & 0o7777 == DROP_BOX_MODE


def _open_to_worker(descriptor: int, box: posix.stat_result) -> None:
    """Whatever the umask: shared, the worker reads as the directory's group; what root pushes is the directory's owner's."""
    if _is_shared(box):
        posix.fchmod(descriptor, SHARED_FILE_MODE)
    elif box.st_uid != posix.geteuid():
        posix.fchown(descriptor, box.st_uid, -1)


def encode(record: "dict[str, Any]") -> bytes:
    """The bytes of a spool file."""
    body = _json(record).encode("ascii")
    return f"{MAGIC} {len(body)} {_sha256(body)}\n".encode("ascii") + body


def _json(value: object) -> str:
    """JSON in ASCII; a byte that `surrogateescape` smuggled into a string comes back from `json.loads` as it was."""
    if isinstance(value, str):
        return _quoted(value)
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        number = repr(value)
        if number in ("nan", "inf", "-inf"):
            raise TypeError(f"an event holds no {number}")
        return number
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quoted(key)}:{_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_json, value)) + "]"
    raise TypeError(f"an event holds no {type(value).__name__}")


def _quoted(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'  # nearly every one: loading what escapes the others takes 0.2 ms
    try:
        from _json import encode_basestring_ascii  # the C half of json.encoder, without `re`
    except ImportError:
        from json.encoder import encode_basestring_ascii
    return encode_basestring_ascii(text)


try:
    from _stat import S_ISDIR  # the C half of `stat`
except ImportError:
    from stat import S_ISDIR


try:
    if sys.version_info >= (3, 12):
        from _sha2 import sha256
    else:
        from _sha256 import sha256
except ImportError:
    from hashlib import sha256


def _sha256(data: bytes) -> str:
    digest: str = sha256(data).hexdigest()
    return digest


def _sync_directory(path: str, file: int) -> None:
    """See to it that the renaming of `file` into `path` outlives a power cut."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except PermissionError:
        # A shared drop box cannot be opened by those who only add to it. A renaming changes the file's inode too (its ctime),
        # so ext4, XFS and btrfs write it out with the file's next fsync.
        posix.fsync(file)
        return
    try:
        posix.fsync(descriptor)
    finally:
        posix.close(descriptor)


# -------------------------------------------------------------------------------------------------------- the worker's half


def waiting(state_dir: str) -> list[str]:
    """Paths of what lies in `new/`, oldest first by modification time, then by name (`new_id`). Raises OSError if the spool cannot be listed."""
    entries = []
    with posix.scandir(f"{state_dir}/spool/new") as listing:
        for entry in listing:
            try:
                entries.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path))
            except FileNotFoundError:
                continue  # another process took it between the listing and the look
    return [path for _, path in sorted(entries)]


def load(path: str, *, shared: bool = False) -> "dict[str, Any]":
    """The record in a spool file; in a `shared` spool its `login` is the file's owner, whatever a pusher's file says.

    Raises BadSpoolFile; FileNotFoundError if another process was quicker; another OSError if this process or machine
    cannot read it now (no descriptors, a failing disk): the file may be an event all the same.
    """
    import errno
    import json
    from stat import S_ISREG

    from brokers.delivery.layout import name_of

    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except OSError as error:
        # A link, a socket, another user's file: opening it again will not help.
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EACCES, errno.EPERM):
            raise BadSpoolFile(path, f"cannot be opened: {error.strerror}") from error
        raise
    try:
        found = posix.fstat(descriptor)
        if not S_ISREG(found.st_mode):
            raise BadSpoolFile(path, "is not a regular file")
        if found.st_size > MAX_BYTES:
            raise BadSpoolFile(path, f"is larger than {MAX_BYTES} bytes")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    finally:
        posix.close(descriptor)
    header, newline, body = data.partition(b"\n")
    try:
        magic, length, digest = header.decode("ascii").rsplit(" ", 2)
        matches = magic == MAGIC and int(length) == len(body) and digest == _sha256(body)
    except ValueError:
        matches = False
    if not (newline and matches):
        raise BadSpoolFile(path, "is torn or not an event: length or checksum do not match")
    try:
        record = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadSpoolFile(path, f"is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise BadSpoolFile(path, "is not an event")
    # What the worker itself writes are the pushes of others, from an outbox that was set aside.
    believed = not shared or found.st_uid == posix.geteuid()
    return record if believed else {**record, "login": name_of(found.st_uid)}


def remove(path: str) -> None:
    """Take a file out of `new/`, after the outbox has it."""
    try:
        posix.unlink(path)
    except FileNotFoundError:
        pass  # a second worker on an old lock took it; the outbox knows the event by its id


def set_aside(state_dir: str, path: str) -> str:
    """Move what is no event into `bad/`, under a name of its own; the new path. Raises OSError."""
    base = "".join(char if (char.isascii() and char.isalnum()) or char in "._-" else "_" for char in path.rpartition("/")[2])
    target = f"{state_dir}/spool/bad/{base[:64]}.{posix.urandom(4).hex()}"
    posix.rename(path, target)
    return target


def sweep(state_dir: str, now: float) -> "Iterator[str]":
    """Remove drafts in `tmp/` that no hook can still be writing (older than STALE_S at `now`); the paths removed.

    What cannot be removed, a directory for example, stays. Raises OSError if `tmp/` cannot be listed.
    """
    with posix.scandir(f"{state_dir}/spool/tmp") as listing:
        drafts = list(listing)
    for entry in drafts:
        try:
            if now - entry.stat(follow_symlinks=False).st_mtime <= STALE_S:
                continue
            posix.unlink(entry.path)
        except OSError:
            continue  # a hook has renamed it meanwhile, or it is no draft
        yield entry.path
