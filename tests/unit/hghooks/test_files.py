"""Files and lengths by the hunks between manifests, against Mercurial's own objects over the same random histories."""

from __future__ import annotations

import random

import pytest
from mercurial import context, mdiff
from mercurial.metadata import ChangingFiles
from mercurial.revlogutils import CachedDelta

from hghooks import files, repository
from payload.push import FileType
from tests.support.command import run

PATHS = [b"a", b"a-b", b"a/b", b"a/b/c", b"aa", b"caf\xe9", b"\xc3\xbc x", b"z" * 200]
CONTENTS = [b"", b"\1\n", b"\1\nbegins as if it had metadata\n", b"plain\n", b"long " * 1000]


class History:
    """A repository of random changesets; `changesets` are hg's objects for them, oldest first."""

    def __init__(self, path, seed, changesets=40, config=()):
        run(["hg", *config, "init", path])
        self.repo = repository.open_at(str(path)).unfiltered()
        self.draw = random.Random(seed)
        with self.repo.wlock(), self.repo.lock(), self.repo.transaction(b"test"):
            for _ in range(changesets):
                self.add()

    @property
    def changesets(self):
        return [self.repo[revision] for revision in self.repo]

    def add(self):
        """Out of the last ones one or two parents, and files changed, copied, removed, or all of them removed."""
        draw, repo, count = self.draw, self.repo, len(self.repo)
        first = draw.randrange(max(0, count - 4), count) if count else -1
        second = draw.randrange(max(0, count - 6), count) if count > 3 and draw.random() < 0.3 else -1
        if second >= 0 and repo.changelog.isancestorrev(*sorted((first, second))):
            second = -1
        held = sorted(set().union(*(repo[parent].manifest() for parent in (first, second))))
        touched = {draw.choice(PATHS): draw.choice(CONTENTS) + b"%d" % draw.randrange(3) for _ in range(draw.randrange(4))}
        removed = set(held) if draw.random() < 0.05 else {path for path in held if draw.random() < 0.1}

        def content(repo, changeset, path):
            if path in removed and path not in touched:
                return None
            source = draw.choice(held) if held and draw.random() < 0.3 else None
            flags = {"islink": draw.random() < 0.1, "isexec": draw.random() < 0.2}
            return context.memfilectx(repo, changeset, path, touched[path], copysource=source, **flags)

        parents = tuple(repo.changelog.node(parent) for parent in (first, second))
        extra = {b"branch": draw.choice([b"default", b"stable"])}
        context.memctx(repo, parents, b"text", sorted(touched.keys() | removed), content, b"x", b"0 0", extra=extra).commit()


def by_name(repo):
    """`Files` that asks the API for everything."""
    asking = files.Files(repo)
    asking._manifests = None
    return asking


def told_by_hg(changeset):
    """Path -> type, and length before and after, by hg's own words for them."""
    words = {FileType.ADDED: "filesadded", FileType.MODIFIED: "filesmodified", FileType.REMOVED: "filesremoved"}
    type_of = {path: kind for kind, name in words.items() for path in getattr(changeset, name)()}
    sides = (changeset.p1(), changeset)
    return {
        path.decode("utf-8", "replace"): (
            type_of[path],
            *(side[path].size() if path in side.manifest() else None for side in sides),
        )
        for path in changeset.files()
    }


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "config",
    [
        (),
        ("--config", "format.sparse-revlog=no", "--config", "format.revlog-compression=zlib"),
        ("--config", "format.usegeneraldelta=no", "--config", "format.sparse-revlog=no"),
        ("--config", "experimental.treemanifest=yes"),
    ],
    ids=["as hg makes them", "as of 2017", "without generaldelta", "treemanifest"],
)
def test_it_is_as_hg_tells_it(tmp_path, seed, config):
    history = History(tmp_path / "repo", seed, config=config)
    fast, slow = files.Files(history.repo), by_name(history.repo)
    assert (fast._manifests is None) == ("experimental.treemanifest=yes" in config)
    for changeset in history.changesets:
        found = fast.of(changeset)
        assert found == slow.of(changeset)
        assert {change.path: (change.type, change.old_size, change.new_size) for change in found} == told_by_hg(changeset)
        assert all(change.size_known for change in found)


def test_a_file_recorded_as_changed_that_is_not(tmp_path):
    """hg records the files of which it had to merge two contents, whichever it took."""
    path = tmp_path / "repo"
    run(["hg", "init", path])
    for update, content in ((None, "base"), ("0", "ours is longer"), ("0", "theirs")):
        if update:
            run(["hg", "-R", path, "update", "-q", "-C", update])
        (path / "a").write_text(content)
        run(["hg", "-R", path, "commit", "-A", "-q", "-m", content, "-u", "x"])
    run(["hg", "-R", path, "update", "-q", "-C", "1"])
    run(["hg", "-R", path, "merge", "-q", "--tool", ":local", "2"])
    run(["hg", "-R", path, "commit", "-q", "-m", "merge", "-u", "x"])
    repo = repository.open_at(str(path)).unfiltered()
    [change] = files.Files(repo).of(repo[3])
    assert (change.path, change.type, change.old_size, change.new_size) == ("a", FileType.MODIFIED, 14, 14)
    assert told_by_hg(repo[3]) == {"a": (FileType.MODIFIED, 14, 14)}


def test_a_file_over_which_an_equal_one_was_moved(tmp_path):
    """hg records it as changed, though to `hg status --change` it is clean."""
    path = tmp_path / "repo"
    run(["hg", "init", path])
    (path / "a").write_text("equal")
    run(["hg", "-R", path, "commit", "-A", "-q", "-m", "a", "-u", "x"])
    run(["hg", "-R", path, "copy", "-q", path / "a", path / "b"])
    run(["hg", "-R", path, "commit", "-q", "-m", "copy", "-u", "x"])
    run(["hg", "-R", path, "move", "-q", "-f", path / "a", path / "b"])
    run(["hg", "-R", path, "commit", "-q", "-m", "move", "-u", "x"])
    repo = repository.open_at(str(path)).unfiltered()
    told = {change.path: (change.type, change.old_size, change.new_size) for change in files.Files(repo).of(repo[2])}
    assert told == {"a": (FileType.REMOVED, 5, None), "b": (FileType.MODIFIED, 5, 5)}


def test_in_any_order(tmp_path, monkeypatch):
    """Whichever manifests are kept, and however few."""
    monkeypatch.setattr(files, "MAX_LOGS", 2)
    monkeypatch.setattr(files, "MAX_TEXTS", 2)
    monkeypatch.setattr(files, "MAX_NAMES", 3)
    history = History(tmp_path / "repo", 9)
    fast, slow = files.Files(history.repo), by_name(history.repo)
    order = history.changesets * 2
    random.Random(1).shuffle(order)
    assert [fast.of(changeset) for changeset in order] == [slow.of(changeset) for changeset in order]
    manifests, lengths = fast._manifests, fast._lengths
    assert len(manifests._texts) <= 2
    assert len(manifests._names) <= 3
    assert len(lengths._logs) <= 2
    assert manifests._texts_bytes == sum(map(len, manifests._texts.values()))


def test_large_manifests_are_not_hoarded(tmp_path, monkeypatch):
    history = History(tmp_path / "repo", 3)
    monkeypatch.setattr(files, "MAX_TEXTS_BYTES", 1)
    fast, slow = files.Files(history.repo), by_name(history.repo)
    assert [fast.of(changeset) for changeset in history.changesets] == [slow.of(changeset) for changeset in history.changesets]
    assert len(fast._manifests._texts) <= 2


def test_a_log_that_holds_a_long_text_is_let_go(tmp_path):
    history = History(tmp_path / "repo", 0, changesets=0)
    repo = history.repo
    long, short = b"l" * (files.MAX_HELD_BYTES + 1), b"short"
    contents = {b"long": long, b"short": short}

    def content(repo, changeset, path):
        return context.memfilectx(repo, changeset, path, contents[path])

    def commit():
        return context.memctx(
            repo, (repo[b"tip"].node(), repo.nullid), b"text", [b"long", b"short"], content, b"x", b"0 0"
        ).commit()

    commit()
    fast = files.Files(repo)
    assert [change.new_size for change in fast.of(repo[0])] == [len(long), len(short)]
    assert list(fast._lengths._logs) == [b"short"]
    contents[b"long"] += b"er"
    commit()
    [change] = files.Files(repo).of(repo[1])
    assert (change.old_size, change.new_size) == (len(long), len(long) + 2)


# ------------------------------------------------------------------------------------------------------------ the hunks


def manifest(entries) -> bytes:
    return b"".join(b"%s\0%s\n" % (path, entries[path]) for path in sorted(entries))


def some_entries(draw):
    return {path: b"%040x" % draw.randrange(3) + draw.choice([b"", b"x", b"l"]) for path in PATHS if draw.random() < 0.7}


@pytest.mark.parametrize("seed", range(20))
def test_hunks_hold_all_that_differs(seed):
    draw = random.Random(seed)
    before, after = some_entries(draw), some_entries(draw)
    went, came = map(files._entries, files._changed(manifest(before), mdiff.textdiff(manifest(before), manifest(after))))
    for path in PATHS:
        if before.get(path) == after.get(path):
            assert went.get(path) == came.get(path)
        else:
            assert (went.get(path), came.get(path)) == (before.get(path), after.get(path))


def hunk(start, end, brought):
    return files._HUNK.pack(start, end, len(brought)) + brought


LINE = b"a\0" + b"0" * 40 + b"\n"


@pytest.mark.parametrize(
    "delta",
    [hunk(1, len(LINE), b""), hunk(0, len(LINE) - 1, b""), hunk(0, 0, b"b\0"), hunk(len(LINE) - 2, len(LINE) - 2, b"1\n")],
    ids=["begins in a line", "ends in one", "brings half of one", "brings the rest of one"],
)
def test_hunks_that_split_lines_are_told(delta):
    assert files._changed(LINE + LINE, delta) is None


def test_half_a_hunk_is_damage():
    with pytest.raises(files.struct.error):
        files._changed(LINE, hunk(0, 0, LINE) + b"\0\0\0")


def test_a_stored_hunk_may_split_lines(tmp_path):
    """hg's own never do, and `hg verify` minds; but what another program pushed is stored as it came, and read."""
    history = History(tmp_path / "repo", 0, changesets=0)
    repo = history.repo

    def content(repo, changeset, path):
        return context.memfilectx(repo, changeset, path, b"first")

    context.memctx(repo, (repo.nullid, repo.nullid), b"text", [b"a", b"b"], content, b"x", b"0 0").commit()
    storage = repo.manifestlog.getstorage(b"")
    node = repo[0].manifestnode()
    old = storage.revision(node)
    with repo.lock(), repo.transaction(b"test") as transaction:
        to = repo.file(b"a", writable=True).add(b"second", {}, transaction, 1, repo[0][b"a"].filenode(), repo.nullid)
        new = old.replace(b"a\0" + repo[0][b"a"].filenode().hex().encode(), b"a\0" + to.hex().encode())
        split = hunk(2, 42, to.hex().encode())
        revlog = storage.get_revlog()
        stored = revlog.addrevision(new, transaction, 1, node, repo.nullid, CachedDelta(0, split))
        repo.changelog.add(
            revlog.node(stored),
            ChangingFiles(touched=[b"a"]),
            b"text",
            transaction,
            repo[0].node(),
            repo.nullid,
            b"x",
            (0, 0),
            {b"branch": b"default"},
        )
    assert storage.revdiff(0, 1) == split
    [change] = files.Files(repo).of(repo[1])
    assert (change.path, change.type, change.old_size, change.new_size) == ("a", FileType.MODIFIED, 5, 6)
    assert by_name(repo).of(repo[1]) == (change,)


def test_a_hunk_that_makes_another_manifest_is_not_believed(tmp_path):
    history = History(tmp_path / "repo", 5, changesets=6)
    manifests = files.Manifests(history.repo)
    storage = history.repo.manifestlog.getstorage(b"")
    revision = next(at for at in range(len(storage)) if storage.deltaparent(at) >= 0)
    base, node = storage.deltaparent(revision), storage.node(revision)
    old, delta = storage.revision(storage.node(base)), storage.revdiff(base, revision)
    assert manifests._made(node, old, [delta]) == storage.revision(node)
    with pytest.raises(ValueError, match=f"{node.hex()} is damaged"):
        manifests._made(node, old + LINE, [delta])


@pytest.mark.parametrize("seed", range(5))
def test_one_path_is_found_among_those_that_begin_alike(seed):
    entries = some_entries(random.Random(seed))
    for path in [*PATHS, b"", b"b", b"c", b"a/", b"z"]:
        assert files._found(manifest(entries), path) == entries.get(path)
