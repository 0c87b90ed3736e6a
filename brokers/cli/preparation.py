"""How `oberon init` makes a state directory, and mends one: the rights that `brokers.delivery.layout` tells, put in place."""

from __future__ import annotations

import os
import pwd
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from brokers.delivery import layout, statedir
from brokers.delivery.layout import Part, group_of
from brokers.errors import BrokerError, ConfigError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Rights:
    """Owner, group and mode of a file or directory; None: as it is."""

    uid: int | None
    gid: int | None
    mode: int | None

    def hold(self, descriptor: int) -> bool:
        """Whether they are in place."""
        found = os.fstat(descriptor)
        now = (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))
        return all(wanted in (None, is_now) for wanted, is_now in zip((self.uid, self.gid, self.mode), now, strict=True))

    def give(self, descriptor: int, path: Path) -> None:
        """Put them in place. Raises OSError, or BrokerError where the file system does not keep them."""
        os.fchown(descriptor, -1 if self.uid is None else self.uid, -1 if self.gid is None else self.gid)
        if self.mode is not None:
            os.fchmod(descriptor, self.mode)
        if not self.hold(descriptor):
            raise BrokerError(f"{path} does not keep owner, group and mode: name a directory on another file system")


@dataclass(frozen=True, slots=True)
class Plan:
    """For whom a state directory is to be."""

    state_dir: str
    worker: pwd.struct_passwd
    pushers_gid: int | None
    """None: private."""
    was_shared: bool

    @property
    def shared(self) -> bool:
        """Whether it is to be."""
        return self.pushers_gid is not None

    def rights(self, part: Part) -> Rights:
        """Of one of its directories. In a private one the group does not matter."""
        gid = None if self.pushers_gid is None else self.pushers_gid if part.of_group else self.worker.pw_gid
        return Rights(self.worker.pw_uid, gid, part.mode(shared=self.shared))


class Making:
    """Each directory is opened through the one above it and never through a link: what lies there may be another's doing."""

    def __init__(self, plan: Plan, *, dry_run: bool) -> None:
        self.told: list[str] = []
        """What was done, or, in a dry run, would be."""
        self._plan = plan
        self._dry_run = dry_run
        self._open: dict[str, int] = {}
        """Name of a part -> its descriptor; none where a dry run would have to make it."""

    def all(self) -> None:
        """Make what is missing, mend what is there. Raises ConfigError, BrokerError or OSError."""
        with ExitStack() as stack:
            for part in layout.PARTS:
                self._directory(part, stack)
            self._files()
            for part in layout.PARTS[2:]:
                self._contents(part.name)

    def _directory(self, part: Part, stack: ExitStack) -> None:
        path = Path(self._plan.state_dir) / part.name
        rights = self._plan.rights(part)
        above = self._open.get(part.name.rpartition("/")[0]) if part.name else None
        name = path.name if part.name else str(path)
        descriptor = _opened(name, above, path) if above is not None or not part.name else None
        done = "mend"
        if descriptor is None:
            done = "make"
            if not part.name and not path.parent.is_dir():
                raise ConfigError(f"there is no directory {path.parent}", origin=str(path), remedy="make that first")
            if not self._dry_run:
                os.mkdir(name, statedir.PRIVATE_MODE, dir_fd=above)
                descriptor = os.open(name, _FOLDER, dir_fd=above)
        if descriptor is not None:
            stack.callback(os.close, descriptor)
            self._open[part.name] = descriptor
            if done == "mend" and rights.hold(descriptor):
                return
            if not self._dry_run:
                rights.give(descriptor, path)
        owner = self._plan.worker.pw_name + (f":{group_of(rights.gid)}" if rights.gid is not None else "")
        self._tell(done, f"{path}: mode {rights.mode:o}, {owner}")

    def _files(self) -> None:
        """The worker's own."""
        rights = Rights(self._plan.worker.pw_uid, None, layout.FILE_MODE)
        for name in layout.FILES:
            if self._file("", name, rights):
                self._tell("mend", f"{self._plan.state_dir}/{name}: mode {rights.mode:o}, {self._plan.worker.pw_name}")

    def _contents(self, part: str) -> None:
        """What lies in the spool is to be readable for the worker, also where that was another before."""
        # In a shared spool a file's owner says who pushed; in a private one it is the worker of that time.
        uid = None if self._plan.was_shared else self._plan.worker.pw_uid
        rights = Rights(uid, self._plan.worker.pw_gid if self._plan.shared else None, None)
        names = os.listdir(self._open[part]) if part in self._open else []  # noqa: PTH208 - pathlib takes no descriptor
        count = sum(self._file(part, name, rights) for name in names)
        if count:
            told = f"{count} files in {self._plan.state_dir}/{part}"
            self._tell("mend", f"{told}: readable for {self._plan.worker.pw_name}")

    def _file(self, part: str, name: str, rights: Rights) -> bool:
        """Give a file its rights; whether they were not in place. A link, or what is no file, is left alone."""
        try:
            descriptor = os.open(name, _FILE, dir_fd=self._open[part])
        except (KeyError, OSError):
            return False
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or rights.hold(descriptor):
                return False
            if not self._dry_run:
                rights.give(descriptor, Path(self._plan.state_dir) / part / name)
        finally:
            os.close(descriptor)
        return True

    def _tell(self, verb: str, what: str) -> None:
        self.told.append(f"{_WOULD[verb] if self._dry_run else _DONE[verb]} {what}")


_DONE = {"make": "made", "mend": "mended"}
_WOULD = {"make": "would make", "mend": "would mend"}


def _opened(name: str, above: int | None, path: Path) -> int | None:
    """A directory's descriptor; None if there is nothing. Raises ConfigError if it is something else, or OSError."""
    try:
        return os.open(name, _FOLDER, dir_fd=above)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        if path.is_symlink():
            remedy = f"name what it leads to, {path.resolve()}" if above is None else f"put a directory in its place: rm {path}"
            raise ConfigError("is a symbolic link", origin=str(path), remedy=remedy) from None
        raise ConfigError("is not a directory", origin=str(path), remedy="move it away, or name another directory") from None
