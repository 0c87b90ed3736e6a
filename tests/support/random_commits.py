"""Made-up commits of git: a history of any shape by clocks of any kind, with files of all modes that come, go and change places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from payload.push import Person
from tests.support.git_objects import Files

START_S = 1_700_000_000
PATHS = (
    *(b"a", b"b", b"d/a", b"d/b", b"d/e/f", b"z", b"A"),
    *(b"d.x", b"d-x", b"d0", b"d", b"d/e"),  # around the place of a folder `d/` in the order of names; and in its place
    *(b"caf\xe9", b"caf\xc3\xa9", b"cafe\xcc\x81", b"d/\xff\xfe", b'tab\tline\nquote"\\', b" ", b"-r", b":(top)*", b"x" * 300),
    b"deep/" * 30 + b"leaf",
)
LENGTHS = (0, 3, 15, 16, 127, 128, 2047, 2048, 5000, 40_000, 300_000)
MODES = ("100644", "100644", "100644", "100755", "120000", "160000", "100664")
WHO = (
    b"Ann Example <ann@example.org>",
    b"Con Example <con@example.org>",
    "Jörg Müller <joerg@example.org>".encode(),
    b"J\xf6rg <joerg@example.org>",
    b"<only@example.org>",
    b"No Mail <>",
    b"  Spaces   Inside  < sp@example.org >",
)
ZONES = (b"+0000", b"+0100", b"-0330", b"+1400", b"-0001", b"+0545", b"+9959")
ENCODINGS = {b"": "utf-8", b"ISO-8859-1": "latin-1", b"Shift_JIS": "shift_jis", b"klingon": "utf-8", b"UTF-8": "utf-8"}
MESSAGES = (
    *(b"a change\n", b"subject\n\nbody\nmore\n", b"", b"\n", b"\n\n  spaces before\n\n\n", b"no line end", b"line\r\nends\r\n"),
    *("Grüße \U0001f600\n".encode(), b"Gr\xfc\xdfe\n", b"bad \xff\xfe bytes\n", b"\x83e\x83X\x83g\n", b"nul\0inside\n"),
    *(b"tree 0000\nparent none\nauthor no\n\nlike a header\n", b"long " * 5000),
)
HEADERS = (
    b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ== author\n author Fake 1 +0000\n -----END PGP SIGNATURE-----\n",
    b"mergetag object 0000000000000000000000000000000000000000\n type commit\n tag v1\n \n words\n",
    b"x-unknown what\nparent 0000000000000000000000000000000000000000\nx-more\n",
    b"HG:extra amend_source:00\n",
)
ODD_PEOPLE = {
    b"Ann <ann@example.org>": Person("Ann <ann@example.org>", "Ann", "ann@example.org"),
    b"Ann <ann@example.org> 1700000000": Person("Ann <ann@example.org>", "Ann", "ann@example.org", 1_700_000_000),
    b"Ann <ann@example.org> 1700000000.75 +0100": Person("Ann <ann@example.org>", "Ann", "ann@example.org", 1_700_000_000, 3600),
    b"Nobody": Person("Nobody", "Nobody", ""),
    b"Nobody 1700000000 +0000": Person("Nobody", "Nobody", "", 1_700_000_000, 0),
    b"bare@example.org": Person("bare@example.org", "", "bare@example.org"),
    b"": Person("", "", ""),
}
"""Lines of an author or committer that lack something, and what they tell. git's own answers differ from version to version."""


@dataclass(frozen=True)
class MadeCommit:
    """A commit; its parents are indices of those before it."""

    parents: tuple[int, ...]
    files: Files
    author: bytes
    committer: bytes
    message: bytes
    headers: bytes


def commits(dice: Random, count: int, oid_digits: int) -> tuple[MadeCommit, ...]:
    made: list[MadeCommit] = []
    clock = dice.choice((_right, _right, _equal, _close, _skewed, _wild))
    for index, time in enumerate(clock(dice, count)):
        parents = _parents(dice, index)
        files = _merged(dice, [made[parent].files for parent in parents])
        for _ in range(dice.choice((1, 1, 2, 3, 0, 6) if len(parents) < 2 else (0, 0, 1, 3))):
            dice.choice(_EDITS)(dice, files, oid_digits)
        encoding = dice.choice((b"", b"", b"", *ENCODINGS))
        headers = b"encoding %s\n" % encoding if encoding else b""
        if not dice.randrange(5):
            headers += dice.choice(HEADERS)
        made.append(
            MadeCommit(
                parents,
                files,
                author=person_line(dice, time - dice.choice((0, 0, 60, 86_400))),
                committer=person_line(dice, time),
                message=dice.choice(MESSAGES),
                headers=headers,
            )
        )
    return tuple(made)


def _right(dice: Random, count: int) -> list[int]:
    return [START_S + index * 60 for index in range(count)]


def _equal(dice: Random, count: int) -> list[int]:
    return [START_S] * count


def _close(dice: Random, count: int) -> list[int]:
    return [START_S + index // 3 for index in range(count)]


def _skewed(dice: Random, count: int) -> list[int]:
    """One clock in four is wrong."""
    return [START_S + index * 60 - dice.choice((0, 0, 0, 10**9, 3600, -(10**9))) for index in range(count)]


def _wild(dice: Random, count: int) -> list[int]:
    """From the day after the epoch to far beyond 32 bits."""
    return [dice.randrange(86_400, 2 ** dice.choice((31, 32, 33, 40))) for _ in range(count)]


def _parents(dice: Random, index: int) -> tuple[int, ...]:
    if not index:
        return ()
    count = dice.choice((1,) * 12 + (2,) * 6 + (0, 3, 4, 9))
    near = range(max(0, index - dice.choice((1, 4, 12))), index)
    parents = dice.sample(near, k=min(count, len(near)))
    if parents and not dice.randrange(60):
        parents.append(parents[0])  # git lets a commit name a parent twice
    return tuple(parents)


def _merged(dice: Random, sides: Sequence[Files]) -> dict[bytes, tuple[str, bytes]]:
    """The first parent's files, and some that others have, or lack."""
    files = dict(sides[0]) if sides else {}
    for other in sides[1:]:
        for path in [*other.keys(), *(path for path in files if path not in other)]:
            if dice.randrange(2) and other.get(path) != files.get(path):
                files.pop(path, None)
                if path in other:
                    _put(files, path, other[path])
    return files


def _put(files: dict[bytes, tuple[str, bytes]], path: bytes, entry: tuple[str, bytes]) -> None:
    """Write a file; a folder in its place goes, and a file in the place of its folder."""
    for other in [other for other in files if other.startswith(path + b"/") or path.startswith(other + b"/")]:
        del files[other]
    files[path] = entry


def _write(dice: Random, files: dict[bytes, tuple[str, bytes]], oid_digits: int) -> None:
    mode = dice.choice(MODES)
    number = dice.randrange(50)
    if mode == "160000":
        content = b"%0*x" % (oid_digits, number + 1)
    elif mode == "120000":
        content = dice.choice(PATHS)
    else:
        content = (b"%d\n" % number * LENGTHS[-1])[: dice.choice(LENGTHS)]
    _put(files, dice.choice(PATHS), (mode, content))


def _remove(dice: Random, files: dict[bytes, tuple[str, bytes]], oid_digits: int) -> None:
    if files:
        del files[dice.choice(sorted(files))]


def _rename(dice: Random, files: dict[bytes, tuple[str, bytes]], oid_digits: int) -> None:
    if files:
        _put(files, dice.choice(PATHS), files.pop(dice.choice(sorted(files))))


def _copy(dice: Random, files: dict[bytes, tuple[str, bytes]], oid_digits: int) -> None:
    if files:
        _put(files, dice.choice(PATHS), files[dice.choice(sorted(files))])


def _change_mode(dice: Random, files: dict[bytes, tuple[str, bytes]], oid_digits: int) -> None:
    """The same bytes as something else: an executable, a link."""
    if files:
        path = dice.choice(sorted(files))
        if files[path][0] != "160000" and files[path][1]:
            files[path] = (dice.choice(("100755", "100644", "120000", "100664")), files[path][1])


def _move_folder(dice: Random, files: dict[bytes, tuple[str, bytes]], oid_digits: int) -> None:
    folders = sorted({path[: path.index(b"/")] for path in files if b"/" in path})
    if folders:
        folder, new = dice.choice(folders), dice.choice((b"moved", b"a", b"d", b"m/n"))
        inside = {path: files.pop(path) for path in sorted(files) if path.startswith(folder + b"/")}
        for path, entry in inside.items():
            _put(files, new + path[len(folder) :], entry)


def _remove_all(dice: Random, files: dict[bytes, tuple[str, bytes]], oid_digits: int) -> None:
    if not dice.randrange(4):
        files.clear()


_EDITS = (_write, _write, _write, _write, _remove, _rename, _rename, _copy, _change_mode, _move_folder, _remove_all)


def person_line(dice: Random, time: int) -> bytes:
    if not dice.randrange(25):
        return dice.choice(tuple(ODD_PEOPLE))
    return b"%s %d %s" % (dice.choice(WHO), time, dice.choice(ZONES))
