"""What git itself says of the commits of a repository, each asked for once, for they never change."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from payload.push import Commit, FileChange, FileType, Person
from tests.support.random_commits import ENCODINGS, ODD_PEOPLE

_PERSON = re.compile(rb"((.*?)<(.*)>) (\d+) ([+-])(\d\d)(\d\d)", re.DOTALL)
_LOG_FORMAT = "%H%x00%T%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00"
_SUBMODULE = ""


@dataclass
class Told:
    """What git says of one commit."""

    time: int
    """The committer's, as git sorts by it; 0 if it cannot be read."""
    parents: tuple[str, ...]
    raw: bytes = b""
    tree: str = ""
    people: tuple[str, ...] = ()
    """Name, mail and date of author and committer, as `git log` prints them."""
    files: list[tuple[bytes, set[str], str | None, str | None]] = field(default_factory=list)
    """Path, the letters that `git diff-tree` gives it, and the blob in the first parent and here (None: not there)."""


class Facts:
    """Of the repository at `git_dir`, in which `commits`, full names, are all that there are."""

    def __init__(self, git_dir: Path, commits: Sequence[str]) -> None:
        self.git_dir = git_dir
        self.commits: dict[str, Told] = {}
        for line in self.lines("rev-list", "--timestamp", "--parents", "--stdin", asked=commits):
            time, node, *parents = line.split(" ")
            self.commits[node] = Told(int(time), tuple(parents))
        self._ask_raw()
        self._ask_people()
        self._ask_files()
        blobs = dict.fromkeys(blob for told in self.commits.values() for row in told.files for blob in row[2:] if blob)
        sizes = self.lines("cat-file", "--batch-check=%(objecttype) %(objectsize)", asked=blobs)
        self._sizes = {blob: int(line.removeprefix("blob ")) for blob, line in zip(blobs, sizes, strict=True)}
        self._sizes[_SUBMODULE] = 0
        self.bits = {node: 1 << number for number, node in enumerate(self.commits)}
        self._below: dict[str, int] = {}
        self._counted: dict[str, int] = {}
        self._peeled: dict[str, str | None] = {node: node for node in self.commits}
        self.clocks_are_right = all(
            self.commits[parent].time <= told.time for told in self.commits.values() for parent in told.parents
        )

    def _git(self, *arguments: str, asked: Iterable[str] = ()) -> bytes:
        # A commit-graph file has no room for dates from the year 2514 on, and git sorts by what is left of them.
        argv = ["git", f"--git-dir={self.git_dir}", "-c", "core.commitGraph=false", *arguments]
        return subprocess.run(argv, input="".join(f"{line}\n" for line in asked).encode(), capture_output=True, check=True).stdout

    def lines(self, *arguments: str, asked: Iterable[str] = ()) -> list[str]:
        """What `git ARGUMENTS` prints when it is given the lines `asked`."""
        return self._git(*arguments, asked=asked).decode("utf-8", "surrogateescape").split("\n")[:-1]

    def objects(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Kind and content of each."""
        answer = self._git("cat-file", "--batch=%(objecttype) %(objectsize)", asked=names)
        at = 0
        while at < len(answer):
            start = answer.index(b"\n", at) + 1
            kind, size = answer[at:start].split(b" ")
            at = start + int(size)
            yield kind.decode(), answer[start:at]
            at += 1

    def _ask_raw(self) -> None:
        for told, (_, raw) in zip(self.commits.values(), self.objects(self.commits), strict=True):
            told.raw = raw

    def _ask_people(self) -> None:
        options = ("--no-walk=unsorted", "--stdin", "--no-show-signature", "--no-mailmap", f"--format={_LOG_FORMAT}")
        answer = self._git("-c", "i18n.logOutputEncoding=utf-8", "log", *options, asked=self.commits)
        words = answer.decode("utf-8", "replace").split("\0")
        for at in range(0, len(words) - 1, 8):
            told = self.commits[words[at].strip("\n")]
            told.tree, *people = words[at + 1 : at + 8]
            told.people = tuple(people)

    def _ask_files(self) -> None:
        options = ("--stdin", "-r", "-c", "--root", "-z", "--no-renames", "--raw")
        answer = iter(self._git("diff-tree", *options, asked=self.commits).split(b"\0")[:-1])
        told = Told(0, ())
        for line in answer:
            if not line.startswith(b":"):
                told = self.commits[line.decode()]
                continue
            words = line.decode().lstrip(":").split(" ")
            sides = (len(words) - 1) // 2  # each parent's and, last, the commit's
            old, new = (_blob(words[place], words[place + sides]) for place in (0, sides - 1))
            told.files.append((next(answer), set(words[-1]), old, new))

    def peel(self, name: str) -> str | None:
        """The commit that an object is or, as a tag, names in the end."""
        if not name.strip("0"):
            return None
        if name not in self._peeled:
            said = self.lines("cat-file", "--batch-check=%(objectname)", asked=[name + "^{commit}"])[0]
            self._peeled[name] = said if said in self.commits else None
        return self._peeled[name]

    def count(self, node: str) -> int:
        """What `git rev-list --count` prints."""
        if node not in self._counted:
            self._counted[node] = int(self._git("rev-list", "--count", node))
        return self._counted[node]

    def below(self, node: str | None) -> int:
        """The bits of `node` and all its ancestors; none of None."""
        waiting = [node] if node is not None else []
        while waiting:
            at = waiting[-1]
            unknown = [parent for parent in self.commits[at].parents if parent not in self._below]
            if unknown:
                waiting += unknown
                continue
            found = self.bits[at]
            for parent in self.commits[at].parents:
                found |= self._below[parent]
            self._below[at] = found
            waiting.pop()
        return self._below[node] if node is not None else 0

    def all_below(self, nodes: Iterable[str | None]) -> int:
        """The bits of all of them and their ancestors."""
        found = 0
        for node in nodes:
            found |= self.below(node)
        return found

    def commit(self, node: str, *, branch: str | None, counted: bool) -> Commit:
        """What a reader has to make of it; with its number if it is `counted`."""
        told = self.commits[node]
        head, _, message = told.raw.partition(b"\n\n")
        headers = {key: value for key, _, value in (line.partition(b" ") for line in reversed(head.split(b"\n")))}
        codec = ENCODINGS[headers.get(b"encoding", b"")]
        people = [person(headers[role], codec) for role in (b"author", b"committer")]
        for one, role, said in zip(people, (b"author", b"committer"), (told.people[:3], told.people[3:]), strict=True):
            # git keeps spaces around a name, and leaves what is not in the encoding that it claims to be in as it is, in whole.
            if headers[role] not in ODD_PEOPLE and codec != "shift_jis":
                assert [one.name, one.email, str(one.time)] == [word.strip() for word in said], (node, headers[role])
        return Commit(
            node=node,
            parents=told.parents,
            author=people[0],
            committer=people[1],
            message=message.decode(codec, "replace"),
            branch=branch,
            revision=self.below(node).bit_count() if counted else None,
            files=tuple(self._file(*row) for row in sorted(told.files, key=lambda row: row[0])),
            tree=told.tree,
        )

    def _file(self, path: bytes, letters: set[str], old: str | None, new: str | None) -> FileChange:
        kinds = {"A": FileType.ADDED, "D": FileType.REMOVED}
        kind = kinds.get(min(letters), FileType.MODIFIED) if len(letters) == 1 else FileType.MODIFIED
        sizes = [None if blob is None else self._sizes[blob] for blob in (old, new)]
        return FileChange(path.decode("utf-8", "replace"), kind, sizes[0], sizes[1])


def person(line: bytes, codec: str) -> Person:
    """Whom a header of a commit or tag tells of, that is in the encoding `codec`."""
    if line in ODD_PEOPLE:
        return ODD_PEOPLE[line]
    found = _PERSON.fullmatch(line)
    assert found, f"no person: {line!r}"
    raw, name, email = (found[number].decode(codec, "replace") for number in (1, 2, 3))
    offset_s = int(found[6]) * 3600 + int(found[7]) * 60
    return Person(raw, name.strip(), email.strip(), int(found[4]), -offset_s if found[5] == b"-" else offset_s)


def _blob(mode: str, name: str) -> str | None:
    return None if mode == "000000" else _SUBMODULE if mode == "160000" else name
