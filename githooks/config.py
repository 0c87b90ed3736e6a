"""What git's configuration says to Oberon, in one `git config` call: system, global and repository files, includes followed.

    [oberon]                                    oberon.mode
        mode = detached
    [service "ci"]                              service.ci.url
        url = https://ci.example.org/hook

On the hook's path: `values` and what it calls import `os` only.
"""

from __future__ import annotations

import os

from brokers.delivery.wake import child_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from brokers.config import Configuration, Entry
    from brokers.errors import ConfigError

# --null, so that values may have newlines; a key without `=` comes without a newline after it (git-config(1)).
COMMAND = ("git", "config", "--null", "--show-origin", "--get-regexp", r"^(oberon|service)\.")
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
    git_dir: str | None, environ: Mapping[str, str], *, trusted_only: bool = False, meanwhile: Callable[[], object] = lambda: None
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
        environment["GIT_DIR"] = os.devnull
    elif trusted_only:
        command = (COMMAND[0], "-C", git_dir, *COMMAND[1:])
    else:
        # Named outright, git asks for no safe.directory: the worker may run as another user than the repository's owner.
        environment["GIT_DIR"] = git_dir
    environment["LC_ALL"] = "C.UTF-8"
    status, output, said = _run(command, environment, meanwhile)
    if status not in (0, _NOTHING_FOUND):
        raise ConfigUnreadable(git_dir or "this machine", os.fsdecode(said).strip() or f"exit status {status}")
    fields = output.split(b"\0")
    found: list[tuple[str, str, str | None]] = []
    for origin, item in zip(fields[0::2], fields[1::2], strict=False):
        key, newline, value = item.partition(b"\n")
        found.append((_file_of(os.fsdecode(origin), git_dir), os.fsdecode(key), os.fsdecode(value) if newline else None))
    return found


def load(path: str | None, environ: Mapping[str, str] | None = None, *, trusted_only: bool = False) -> Configuration:
    """The configuration for the repository whose git directory is `path` (None: what holds for every repository).

    Raises ConfigError if it cannot be read at all, or, with `trusted_only`, if the repository has settings of its own and
    git does not trust its owner; what is wrong in it stands in the result.
    """
    import dataclasses
    import shlex

    from brokers.config import Configuration
    from brokers.errors import ConfigError

    if path is not None and not os.path.isdir(path):
        raise ConfigError("there is no such repository", origin=path)
    environ = os.environ if environ is None else environ
    try:
        found = values(path, environ)
        trusted = found if path is None or not trusted_only else values(path, environ, trusted_only=True)
    except (ConfigUnreadable, OSError) as error:
        raise ConfigError(str(error), remedy="see that `git config --list` works there") from error
    if trusted != found:
        raise ConfigError(
            "git does not trust the owner of this repository, so its settings do not hold",
            origin=path or "",
            remedy=f"git config --system --add safe.directory {shlex.quote(path or '')}",
        )
    configuration = Configuration.parse(entries(found))
    return dataclasses.replace(configuration, problems=configuration.problems + tuple(_nameless(found)))


def entries(found: Iterable[tuple[str, str, str | None]]) -> list[Entry]:
    """Each setting of what `values` found, in the same order."""
    from brokers.config import Entry
    from payload.text import repair

    told = []
    for origin, written, value in found:
        key = repair(written)  # a service's name may hold any bytes
        section, _, rest = key.partition(".")
        service, dot, variable = rest.rpartition(".")
        if section == "oberon" and not dot:
            told.append(Entry(None, variable, value, origin))
        elif section == "service" and service:
            told.append(Entry(service, variable, value, origin))
    return told


def _nameless(found: Iterable[tuple[str, str, str | None]]) -> Iterator[ConfigError]:
    """One problem for each setting of a `[service]` that has no name."""
    from brokers.errors import ConfigError

    for origin, key, value in found:
        section, _, rest = key.partition(".")
        service, _, variable = rest.rpartition(".")
        if section == "service" and not service:
            # Another setting's value may be a secret.
            shown = value if variable == "broker" and value else "VALUE"
            remedy = f"name the service, as `git config service.NAME.{variable} {shown}`"
            yield ConfigError("this names no service", setting=key, origin=origin, remedy=remedy)


def _file_of(origin: str, git_dir: str | None) -> str:
    """`file:/etc/gitconfig` -> `/etc/gitconfig`; a path relative to the repository is made absolute."""
    kind, colon, path = origin.partition(":")
    if kind != "file" or not colon:
        return origin
    return path if path.startswith("/") or git_dir is None else os.path.join(git_dir, path)


def _run(command: tuple[str, ...], environment: dict[str, str], meanwhile: Callable[[], object]) -> tuple[int, bytes, bytes]:
    """Exit status, stdout and stderr. `subprocess` would cost the hook 22 ms."""
    out_read, out_write = os.pipe()
    said_read, said_write = os.pipe()
    try:
        pid = os.posix_spawnp(
            command[0],
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, out_write, 1),
                (os.POSIX_SPAWN_DUP2, said_write, 2),
            ],
        )
    except BaseException:
        os.close(out_read)
        os.close(said_read)
        raise
    finally:
        os.close(out_write)
        os.close(said_write)
    meanwhile()
    # stderr is read second: git says at most a line there, which the pipe holds.
    output = read_all(out_read)
    said = read_all(said_read)
    os.close(out_read)
    os.close(said_read)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output, said


def read_all(descriptor: int) -> bytes:
    """Everything up to the end of a pipe or file."""
    parts = []
    while part := os.read(descriptor, 65536):
        parts.append(part)
    return b"".join(parts)
