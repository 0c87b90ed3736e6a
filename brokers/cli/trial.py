"""Which payload `oberon test` sends: the repository's last push, read again with today's settings, or a sample.

Read again, since what was recorded is what the settings and the brokers of its day asked for: without patches where no broker
needed them then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from brokers.cli import output, progress_line
from brokers.cli.repository import Repository
from brokers.cli.sources import by_scm
from brokers.config import Configuration
from brokers.delivery import record
from brokers.delivery.expansion import composed_of
from brokers.delivery.rows import LastPush
from brokers.errors import BrokerError
from payload import samples


class Trial(NamedTuple):
    """A payload to try a service with."""

    composed: dict[str, Any]
    """Less `broker` and `service`."""
    name: str
    """`the last push`, `the sample git-push`."""
    made: str = ""
    """How it came to be what it is, where that is to be told; else ''."""

    def __str__(self) -> str:
        return f"{self.name}, {self.made}," if self.made else self.name


def last_push(repository: Repository, configuration: Configuration, state_dir: str, needs: frozenset[str]) -> Trial | None:
    """The newest push in the record, read again; as it was recorded, with a warning on stderr, if that fails. None: there is none.

    `needs` is what brokers ask the reader for, as `diff`.
    """
    with record.existing_outbox(state_dir) as outbox:
        last = record.last_push(outbox, repository.path)
    if last is None:
        return None
    name = "the last push"
    try:
        return Trial(_read_again(last, repository, configuration, needs), name, "read again with today's settings")
    except BrokerError as error:
        lacks = "; it lacks the diffs" if _lacks_diffs(last.payload, needs) else ""
        output.warn(f"the last push cannot be read again, so this is its payload as it was recorded{lacks}: {error}")
        return Trial(last.payload, name, "as it was recorded")


def sample(name: str, needs: frozenset[str]) -> Trial:
    """The sample of that name, each commit with a made-up patch if `needs` has `diff`. Raises UnknownSampleError."""
    composed = {key: value for key, value in samples.load(name).items() if key not in ("broker", "service")}
    if not _lacks_diffs(composed, needs):
        return Trial(composed, f"the sample {name}")
    for details in composed["oberon"]["commits"].values():
        details["diff"] = "".join(_patch(file["file"], file["type"]) for file in details["files"])
    return Trial(composed, f"the sample {name}", "with made-up diffs")


def _read_again(last: LastPush, repository: Repository, configuration: Configuration, needs: frozenset[str]) -> dict[str, Any]:
    with progress_line.shown() as progress:
        push = by_scm()[repository.scm].read(last.event, configuration.settings, needs, last.later, progress=progress)
    return composed_of(push, configuration.settings, last.sequence)


def _lacks_diffs(composed: Mapping[str, Any], needs: frozenset[str]) -> bool:
    """Whether a broker needs patches and a commit has none; the example of 2008 has no place for them."""
    commits = composed.get("oberon", {}).get("commits", {})
    return "diff" in needs and any("diff" not in details for details in commits.values())


_PATCHES = {
    "added": "new file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+made up\n",
    "modified": "--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-as it was\n+made up\n",
    "removed": "deleted file mode 100644\n--- a/{path}\n+++ /dev/null\n@@ -1 +0,0 @@\n-as it was\n",
}
"""What happened to a file -> its part of a unified diff, below the line that git and hg begin it with."""


def _patch(path: str, happened: str) -> str:
    return f"diff --git a/{path} b/{path}\n{_PATCHES[happened].format(path=path)}"
