"""What people call a revision -> the facts of a push, as the hook would have written them."""

from __future__ import annotations

import os
import pwd
import subprocess
import time

from brokers.cli.repository import Repository
from brokers.delivery import spool
from brokers.delivery.surroundings import child_environment
from brokers.errors import ConfigError
from payload.push import Event, RefUpdate


def git_push(repository: Repository, old: str, new: str, ref: str) -> Event:
    """The push that moved `ref` from `old` to `new`: revisions as git takes them; zeros (one is enough): there is none.

    Its time is when `new` was committed: so refs that moved to it since, a tag on it for example, hide nothing from it, as
    they hide nothing from a push that is read late (`githooks.reading.at_the_time`). Raises ConfigError.
    """
    nodes = [None if _is_zero(revision) else _git_node(repository, revision) for revision in (old, new)]
    lengths = [len(node) for node in nodes if node is not None]
    if not lengths:
        raise ConfigError("a push from nothing to nothing is none", remedy="give a revision as OLD or NEW")
    before, after = ("0" * lengths[0] if node is None else node for node in nodes)
    committed = _git(repository, "log", "-1", "--no-show-signature", "--format=%ct", nodes[1] or nodes[0] or "")
    at = min(time.time(), float(committed)) if committed and committed.isdigit() else time.time()
    return _event(repository, at, refs=(RefUpdate(_full_ref(repository, ref), before, after),))


def hg_push(repository: Repository, first: str, last: str) -> Event:
    """The push of the changesets from `first` to `last`, revisions as hg takes them. Raises ConfigError."""
    return _event(repository, time.time(), first=_hg_node(repository, first), last=_hg_node(repository, last))


def _event(
    repository: Repository, at: float, *, refs: tuple[RefUpdate, ...] = (), first: str | None = None, last: str | None = None
) -> Event:
    try:
        login = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        login = str(os.getuid())
    return Event(
        id=spool.new_id(),
        scm=repository.scm,
        path=repository.path,
        time=at,
        login=login,
        source="local",
        refs=refs,
        first=first,
        last=last,
    )


def _is_zero(revision: str) -> bool:
    return not revision.strip("0")


def _git(repository: Repository, *arguments: str) -> str | None:
    """What `git ARGUMENTS` prints, or None if it fails. Raises OSError if there is no git."""
    environment = {**child_environment(os.environ), "GIT_DIR": repository.path, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(("git", *arguments), env=environment, cwd=repository.path, capture_output=True, check=False)
    return os.fsdecode(done.stdout).strip() if done.returncode == 0 else None


def _git_node(repository: Repository, revision: str) -> str:
    # Not peeled: a push of an annotated tag tells the tag's own object.
    node = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", revision)
    if not node:
        raise ConfigError(f"git knows no revision {revision!r}", origin=repository.path, remedy="see `git log`")
    return node


def _full_ref(repository: Repository, ref: str) -> str:
    if ref.startswith("refs/"):
        return ref
    full = _git(repository, "rev-parse", "--symbolic-full-name", "--verify", "--quiet", "--end-of-options", ref)
    if not full:
        raise ConfigError(f"git knows no ref {ref!r}", origin=repository.path, remedy="write it in full, as refs/heads/main")
    return full


def _hg_node(repository: Repository, revision: str) -> str:
    from brokers.errors import ReadingError
    from hghooks import repository as opening

    repo = opening.open_at(repository.path)
    try:
        found = repo.anyrevs([os.fsencode(revision)], user=True)
        node = repo[found.last()].hex().decode("ascii") if found else ""
    except ReadingError:
        raise
    except Exception as error:  # Mercurial's own tree of errors, which only hghooks imports
        raise ConfigError(
            f"hg knows no revision {revision!r}: {opening.told(error)}", origin=repository.path, remedy="see `hg log`"
        ) from error
    if not node:
        raise ConfigError(f"{revision!r} is no changeset", origin=repository.path, remedy="see `hg log`")
    return str(node)
