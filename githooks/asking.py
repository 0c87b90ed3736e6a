"""What git's configuration says to Oberon, in one `git config` call: system, global and repository files, includes followed.

On the hook's path, and before all else there: while git reads, the hook imports what it needs after that.
"""

import posix

from brokers.delivery.surroundings import child_environment, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# --null, so that values may have newlines; a key without `=` comes without a newline after it (git-config(1)).
COMMAND = ("git", "config", "--null", "--show-origin", "--get-regexp", r"^(oberon|service)\.")
_NULL = "/dev/null"
_STDOUT, _STDERR = 1, 2
_MOST_SAID_BYTES = 1000  # of what git says of a fault, the last: the pusher is told
_NOTHING_FOUND = 1  # git config's exit status for "no key matched"


class ConfigUnreadable(Exception):
    """git could not read the configuration; `reason` is what it said."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"git cannot read the configuration of {self.path}: {self.reason}"


def values(
    git_dir: str | None,
    environ: "Mapping[str, str]",
    *,
    trusted_only: bool = False,
    meanwhile: "Callable[[], object]" = lambda: None,
) -> list[tuple[str, str, str | None]]:
    """(origin, key, value) as git tells them, those that override last; value None where a key stands alone.

    Keys are as `git config` prints them: section and variable in lower case, a service's name as written. `git_dir` None
    reads the system's and the user's files only, and with `trusted_only` so does a repository whose owner git does not trust
    (`safe.directory` in git-config(1)). `meanwhile` is called while git reads. Raises ConfigUnreadable, or OSError if there is
    no git.
    """
    environment = child_environment(environ)
    command: tuple[str, ...] = COMMAND
    if git_dir is None:
        environment["GIT_DIR"] = _NULL
    elif trusted_only:
        command = (COMMAND[0], "-C", git_dir, *COMMAND[1:])
    else:
        # Named outright, git asks for no safe.directory: the worker may run as another user than the repository's owner.
        environment["GIT_DIR"] = git_dir
    environment["LC_ALL"] = "C"  # which is quicker, and there everywhere; what git says of a path, it says byte for byte
    status, output = _run(command, environment, _STDOUT, meanwhile)
    if status not in (0, _NOTHING_FOUND):
        # Asked again for its reason alone: of two pipes read one after the other, the second may fill, and git stand still.
        said = text(_run(command, environment, _STDERR)[1][-_MOST_SAID_BYTES:]).strip()
        raise ConfigUnreadable(git_dir or "this machine", said or f"exit status {status}")
    fields = output.split(b"\0")
    found: list[tuple[str, str, str | None]] = []
    for origin, item in zip(fields[0::2], fields[1::2], strict=False):
        key, newline, value = item.partition(b"\n")
        found.append((_file_of(text(origin), git_dir), text(key), text(value) if newline else None))
    return found


def _file_of(origin: str, git_dir: str | None) -> str:
    """`file:/etc/gitconfig` -> `/etc/gitconfig`; a path relative to the repository is made absolute."""
    kind, colon, path = origin.partition(":")
    if kind != "file" or not colon:
        return origin
    return path if path.startswith("/") or git_dir is None else f"{git_dir}/{path}"


def _run(
    command: tuple[str, ...], environment: dict[str, str], wanted: int, meanwhile: "Callable[[], object]" = lambda: None
) -> tuple[int, bytes]:
    """Exit status, and what it wrote to `wanted`, _STDOUT or _STDERR. `subprocess` would cost the hook 22 ms."""
    unwanted = _STDERR if wanted == _STDOUT else _STDOUT
    read, write = posix.pipe()
    try:
        pid = posix.posix_spawnp(
            command[0],
            command,
            environment,
            file_actions=[
                (posix.POSIX_SPAWN_OPEN, 0, _NULL, posix.O_RDONLY, 0),
                (posix.POSIX_SPAWN_DUP2, write, wanted),  # first: where one of them was closed, `write` may have its number
                (posix.POSIX_SPAWN_OPEN, unwanted, _NULL, posix.O_WRONLY, 0),
            ],
        )
    except BaseException:
        posix.close(read)
        raise
    finally:
        posix.close(write)
    meanwhile()
    output = read_all(read)
    posix.close(read)
    return posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1]), output


def read_all(descriptor: int) -> bytes:
    """Everything up to the end of a pipe or file."""
    parts = []
    while part := posix.read(descriptor, 65536):
        parts.append(part)
    return b"".join(parts)
