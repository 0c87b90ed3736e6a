"""Git repositories of any kind and in any state, each read by both lanes: formats, layouts, storage, borrowing, damage."""

from __future__ import annotations

import os
from functools import partial

import pytest

from brokers.config import Settings
from brokers.errors import ReadingError, RepositoryGone, RepositoryUnreadable
from githooks.reading import opened
from payload.push import FileType, RefAction
from tests.support import git_lanes
from tests.support.command import CommandFailedError, run
from tests.support.git import ZERO, GitClone, GitServer
from tests.support.git_lanes import LANES, LATE, nodes
from tests.support.histories import Planned, build, event, point
from tests.support.hooked import git_settings, link_hook

MAIN, SIDE, TAG = "refs/heads/main", "refs/heads/side", "refs/tags/v1"
ANN = b"Ann Example <ann@example.org> 1700000000 +0100"


@pytest.fixture(params=LANES)
def lane(request):
    return request.param


@pytest.fixture
def tell(lane):
    return partial(git_lanes.tell, lane=lane)


@pytest.fixture
def server(git_server):
    made = git_server()
    made.git("symbolic-ref", "HEAD", MAIN)
    return made


def text_file(content, name=b"f"):
    return {name: ("100644", content)}


def line(count):
    """So many commits, each the next one's parent, each with a file of its own and one that all change."""
    lines = [b"%d\n" % number * 40 for number in range(200)]
    return [
        Planned(
            (index - 1,) if index else (),
            1_700_000_000 + index,
            text_file(b"%d" % index, b"d/%d" % index) | text_file(b"".join(lines[: 100 + index])),
            b"number %d\n" % index,
        )
        for index in range(count)
    ]


GROWTH = 161  # bytes, by each but the first of the first ten of a line


def without_ids(push):
    """What a push says, whenever and under whatever path it was read."""
    return push.refs, push.commits, push.total_commits


# ------------------------------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize("layout", ["bare", "non-bare", "linked worktree"])
def test_a_push_into_each_layout_is_delivered(tmp_path, state_dir, receiver, lane, layout):
    source = GitServer(tmp_path / "source.git").clone("source")
    first = source.commit({"a": "1"})
    if layout == "bare":
        target = git_dir = GitServer(tmp_path / "target.git").path
    else:
        run(["git", "clone", "-q", source.path, tmp_path / "target"])
        target, git_dir = tmp_path / "target", tmp_path / "target" / ".git"
        if layout == "linked worktree":
            target = tmp_path / "linked"
            GitClone(tmp_path / "target").git("worktree", "add", "-q", target)
    hooked = object.__new__(GitServer)
    hooked.path = git_dir
    link_hook(hooked)
    git_settings(hooked, state_dir, mode="inline", gitReader=lane)
    hooked.config("service.ci.broker", "post")
    hooked.config("service.ci.url", receiver.url)
    second = source.commit({"a": "12"})
    pushed = source.push("HEAD:refs/heads/pushed", url=target)
    assert "oberon: ci: delivered" in pushed.stderr
    (request,) = receiver.wait(1, 20)
    commits = request.payload()["commits"]
    assert [commit["raw_node"] for commit in commits] == ([first, second] if layout == "bare" else [second])
    assert (commits[-1]["size"], commits[-1]["revision"], commits[-1]["branch"]) == (1, 2, "pushed")


def test_a_linked_worktree_by_its_own_directory(server, tmp_path, tell):
    made = build(server, line(3))
    point(server, {MAIN: made[2], SIDE: made[0]})
    clone = server.clone()
    clone.git("worktree", "add", "-q", "-b", "linked", tmp_path / "linked", made[1])
    own = clone.path / ".git" / "worktrees" / "linked"
    push = tell(own, (MAIN, made[0], made[2]), ("refs/heads/linked", None, made[1]))
    assert nodes(push) == [made[1], made[2]]
    assert [commit.branch for commit in push.commits] == ["linked", "main"]  # what is checked out there goes first
    assert [commit.revision for commit in push.commits] == [2, 3]


def test_a_working_tree_that_is_elsewhere_or_gone(server, tmp_path, tell):
    made = build(server, line(2))
    point(server, {MAIN: made[1]})
    for setting in (str(tmp_path / "gone"), str(tmp_path)):
        server.config("core.bare", "false")
        server.config("core.worktree", setting)
        assert nodes(tell(server.path, (MAIN, made[0], made[1]))) == [made[1]]


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files to another user")
def test_a_repository_of_another_user(server, tell):
    made = build(server, line(2))
    point(server, {MAIN: made[1]})
    run(["chown", "-R", "65534:65534", server.path])
    assert tell(server.path, (MAIN, made[0], made[1])).commits[0].revision == 2


# ------------------------------------------------------------------------------------------------------- formats, refs


def test_sha256(git_server, tell):
    server = git_server(object_format="sha256")
    clone = server.clone()
    first = clone.commit({"a": "1", "d/b": "22"}, message="one\n")
    clone.push(f"HEAD:{MAIN}")
    push = tell(server.path, (MAIN, None, first))
    assert (nodes(push), len(first), push.commits[0].size, push.commits[0].revision) == ([first], 64, 3, 1)
    second = clone.commit({"a": None})
    clone.git("tag", "-a", "-m", "tagged", "v1")
    clone.push(f"HEAD:{MAIN}", "v1")
    server.git("repack", "-adq")
    push = tell(server.path, (MAIN, first, second), (TAG, None, clone.node("v1")))
    assert (nodes(push), push.commits[0].parents, push.refs[1].message) == ([second], (first,), "tagged\n")
    push = tell(server.path, (MAIN, second, first), (SIDE, second, None))
    assert [(change.action, change.dropped) for change in push.refs] == [(RefAction.REWIND, 1), (RefAction.DELETE, 0)]


@pytest.fixture
def reftable(tmp_path):
    """A repository with its refs in a reftable of many blocks, and a clone of it."""
    try:
        run(["git", "init", "-q", "--bare", "--ref-format=reftable", "-b", "main", tmp_path / "reftable.git"])
    except CommandFailedError as error:
        if "ref-format" not in error.finished.stderr:
            raise
        pytest.skip("this git knows no reftable: git init has no --ref-format")
    server = object.__new__(GitServer)
    server.path, server.object_format = tmp_path / "reftable.git", "sha1"
    made = build(server, line(4))
    names = [f"refs/heads/many/{number:05}" for number in range(3000)]
    server.git("update-ref", "--stdin", input="".join(f"create {name} {made[1]}\n" for name in [*names, "refs/pull/1/head"]))
    server.git("update-ref", MAIN, made[3])
    return server, made


@pytest.mark.parametrize("reader", ["git", "auto"])
def test_a_reftable_is_read_by_git(reftable, reader):
    server, made = reftable
    clone = server.clone()
    clone.git("tag", "-a", "-m", "first", "v1", made[2])
    clone.push("v1")

    def told(*moves):
        return git_lanes.read(event(server.path, moves, time=LATE), Settings(git_reader=reader))

    push = told((MAIN, None, made[3]))
    assert nodes(push) == [made[3]]  # `many` holds two, the tag the third
    assert (push.commits[0].branch, push.commits[0].revision, push.refs[0].commits) == ("main", 4, (made[3],))
    push = told((TAG, None, clone.node("v1")), (MAIN, None, made[3]))
    assert nodes(push) == [made[2], made[3]]
    assert push.refs[0].message == "first\n"
    server.git("symbolic-ref", "refs/heads/alias", MAIN)
    assert nodes(told(("refs/heads/alias", made[1], made[3]))) == [made[3]]
    server.git("symbolic-ref", "HEAD", "refs/heads/unborn")
    assert nodes(told((MAIN, made[1], made[3]))) == [made[3]]


def test_a_reftable_is_refused_in_words_by_dulwich(reftable):
    server, made = reftable
    with pytest.raises(RepositoryUnreadable, match="reftable"):
        git_lanes.read(event(server.path, [(MAIN, None, made[3])], time=LATE), Settings(git_reader="dulwich"))


def test_refs_that_are_broken_are_none(server, tell):
    made = build(server, line(4))
    point(server, {MAIN: made[3], SIDE: made[1], "refs/heads/packed": made[0], TAG: made[0]})
    server.git("pack-refs", "--all")
    heads = server.path / "refs" / "heads"
    broken = {"empty": "", "words": "no name\n", "short": made[2][:39], "main.lock": made[3], "side.lock": "", "gone": "e" * 40}
    for name, content in broken.items():
        (heads / name).write_text(content)
    (heads / "dangling").write_text("ref: refs/heads/nowhere\n")
    (heads / "round").write_text("ref: refs/heads/round\n")
    (heads / "link").symlink_to("nothing")
    (heads / "folder" / "in" / "it").mkdir(parents=True)
    (server.path / "packed-refs.lock").write_text("")
    with (server.path / "packed-refs").open("a") as file:
        file.write(f"{made[2]}\nnonsense refs/heads/x\n\n{'f' * 40} refs/heads/lost\n")
    assert nodes(tell(server.path, (MAIN, None, made[3]))) == [made[2], made[3]]
    (server.path / "packed-refs").write_text("")
    assert nodes(tell(server.path, (MAIN, None, made[3]))) == made


@pytest.mark.parametrize("head", ["ref: refs/heads/unborn\n", "{node}\n", "", "ref: refs/heads/side", "nonsense\n"])
def test_whatever_head_says(server, lane, tell, head):
    made = build(server, line(2))
    point(server, {MAIN: made[1], SIDE: made[1]})
    (server.path / "HEAD").write_text(head.format(node=made[0]))
    moves = (MAIN, made[0], made[1]), (SIDE, made[0], made[1])
    if head in ("", "nonsense\n") and lane == "git":  # for git that is no repository at all
        with pytest.raises(RepositoryUnreadable, match="not a git repository"):
            git_lanes.read(event(server.path, moves, time=LATE), Settings(git_reader="git"))
        return
    push = tell(server.path, *moves)
    assert push.commits[0].branch == ("side" if "side" in head else "main")


# -------------------------------------------------------------------------------------------------------------- storage


def unpack(server):
    """Every object gets a file of its own."""
    for pack in (server.path / "objects" / "pack").glob("*.pack"):
        content = pack.read_bytes()
        for part in pack.parent.glob(pack.stem + ".*"):
            part.unlink()
        server.git("unpack-objects", "-q", input=content)


def _ref_deltas(server):
    server.config("repack.useDeltaBaseOffset", "false")
    server.git("repack", "-adfq", "--depth=50", "--window=50")
    (pack,) = (server.path / "objects" / "pack").glob("*.idx")
    assert "chain length" in server.git("verify-pack", "-v", pack)


def _several_packs(server):
    server.git("repack", "-adq")
    for number in range(3):
        blob = server.git("hash-object", "-w", "--stdin", input=f"beside {number}")
        server.git("pack-objects", "-q", server.path / "objects" / "pack" / "pack", input=blob + "\n")
    assert len(list((server.path / "objects" / "pack").glob("*.pack"))) == 4


def _multi_pack_index(server):
    _several_packs(server)
    server.git("multi-pack-index", "write", "--bitmap")
    for index in sorted((server.path / "objects" / "pack").glob("*.idx"))[1:]:
        index.rename(index.with_suffix(".old"))
        index.with_suffix(".old").rename(index)  # they stay: git and the lanes may use either


def _split_graph(server):
    for number in (5, 9, 11):
        server.git(
            "commit-graph", "write", "--split=no-merge", "--stdin-commits", input=server.git("rev-parse", f"main~{11 - number}")
        )
    assert len(list((server.path / "objects" / "info" / "commit-graphs").glob("*.graph"))) == 3


def _gc(server):
    server.config("gc.cruftPacks", "true")
    server.config("gc.writeCommitGraph", "true")
    server.config("pack.writeReverseIndex", "true")
    server.git("gc", "-q")


STORAGE = {
    "loose": lambda _: None,
    "one pack": lambda server: server.git("repack", "-adq"),
    "offset deltas": lambda server: server.git("repack", "-adfq", "--depth=50", "--window=50"),
    "ref deltas": _ref_deltas,
    "bitmap": lambda server: server.git("repack", "-adbq"),
    "several packs": _several_packs,
    "multi-pack-index": _multi_pack_index,
    "geometric": lambda server: (_several_packs(server), server.git("repack", "-dq", "--geometric=2", "--write-midx")),
    "commit-graph": lambda server: server.git("commit-graph", "write", "--reachable"),
    "commit-graph with changed paths": lambda server: server.git("commit-graph", "write", "--reachable", "--changed-paths"),
    "split commit-graph": _split_graph,
    "gc": _gc,
    "broken commit-graph": lambda server: (server.path / "objects" / "info" / "commit-graph").write_bytes(b"CGPH\1\1\3\0garbage"),
    "broken multi-pack-index": lambda server: (server.path / "objects" / "pack" / "multi-pack-index").write_bytes(b"MIDX\1"),
    "broken bitmap": lambda server: [
        (pack.with_suffix(".bitmap")).write_bytes(b"BITM") for pack in (server.path / "objects" / "pack").glob("*.pack")
    ],
}


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
@pytest.mark.parametrize("state", STORAGE)
def test_the_objects_may_be_stored_in_any_way(git_server, lane, tell, object_format, state):
    server = git_server(object_format=object_format)
    plan = line(12)
    made = build(server, plan)
    point(server, {MAIN: made[11], SIDE: made[4]})
    expected = git_lanes.read(event(server.path, [(MAIN, made[2], made[11])], time=LATE), Settings(git_reader=lane))
    STORAGE[state](server)
    push = tell(server.path, (MAIN, made[2], made[11]))
    assert without_ids(push) == without_ids(expected)
    assert nodes(push) == made[5:]
    assert [commit.revision for commit in push.commits] == list(range(6, 13))
    for index, commit in enumerate(push.commits, start=5):
        assert {change.path: change.new_size for change in commit.files} == {
            path.decode(): len(content) for path, (_, content) in plan[index].files.items()
        }


@pytest.mark.parametrize("upkeep", ["repack", "gc"])
def test_the_repository_is_kept_up_while_it_is_read(server, lane, upkeep):
    count = 700  # more than the git lane asks for at once
    made = build(server, line(count))
    point(server, {MAIN: made[-1]})
    asked = event(server.path, [(MAIN, None, made[-1])], time=LATE)
    expected = git_lanes.read(asked, Settings(git_reader=lane))
    server.git("repack", "-dq")
    with opened(asked, Settings(git_reader=lane)) as reading:
        commits = iter(reading.commits)
        found = [next(commits) for _ in range(3)]
        server.git("pack-refs", "--all")
        server.git(*(["repack", "-adfq"] if upkeep == "repack" else ["gc", "-q", "--prune=now"]))
        found += commits
    assert tuple(found) == expected.commits
    assert (reading.refs, reading.total_commits) == (expected.refs, count)


# ------------------------------------------------------------------------------------------------------------ borrowing


def borrower(tmp_path, server, *lines, name="borrower.git"):
    made = GitServer(tmp_path / name, object_format=server.object_format)
    (made.path / "objects" / "info" / "alternates").write_text("".join(f"{text}\n" for text in lines))
    return made


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
@pytest.mark.parametrize("how", ["absolute", "relative", "nested", "circular", "with comments"])
def test_borrowed_objects(git_server, tmp_path, tell, object_format, how):
    server = git_server(object_format=object_format)
    made = build(server, line(3))
    unpack(server)
    objects = server.path / "objects"
    rows = {
        "absolute": [str(objects)],
        "relative": ["../../repo.git/objects"],
        "nested": ["../../between.git/objects"],
        "circular": [str(objects)],
        "with comments": ["# a comment", "", "/nowhere/objects", str(objects)],
    }
    made_borrower = borrower(tmp_path, server, *rows[how])
    if how == "nested":
        borrower(tmp_path, server, "/nowhere", str(objects), name="between.git")
    if how == "circular":
        (objects / "info" / "alternates").write_text(f"{made_borrower.path}/objects\n")
    point(made_borrower, {MAIN: made[2], SIDE: made[0]})
    push = tell(made_borrower.path, (MAIN, None, made[2]))
    assert nodes(push) == made[1:]
    assert (push.commits[-1].revision, push.commits[-1].size) == (3, GROWTH)
    own = build(made_borrower, [Planned(files=text_file(b"own"))])
    point(made_borrower, {TAG: own[0]})
    assert nodes(tell(made_borrower.path, (TAG, None, own[0]), (MAIN, None, made[2]))) == [own[0], *made[1:]]


# What the hook's environment named, `{repo}` and `{tmp}` the folders: GIT_OBJECT_DIRECTORY, GIT_ALTERNATE_OBJECT_DIRECTORIES.
NAMED = {
    "as Gitaly has it": ("{repo}/objects/incoming-1", "{repo}/objects:{tmp}/elsewhere/objects"),
    "relative": ("objects/incoming-1", "objects:../elsewhere/objects"),
    "without the repository's own": ("{repo}/objects/incoming-1", "{tmp}/elsewhere/objects"),
    "only alternates": ("", "{repo}/objects/incoming-1:/nowhere:{tmp}/elsewhere/objects"),
}


@pytest.mark.parametrize("how", NAMED)
def test_objects_that_the_hook_s_environment_named(server, tmp_path, tell, how):
    """What is pushed waits in a directory that only the environment tells of."""
    made = build(server, line(3))
    own = server.path / "objects"
    for index, place in ((2, own / "incoming-1"), (1, tmp_path / "elsewhere" / "objects")):
        for oid in server.git("rev-list", "--objects", "--no-object-names", made[index], f"^{made[index - 1]}").split():
            target = place / oid[:2] / oid[2:]
            target.parent.mkdir(parents=True, exist_ok=True)
            (own / oid[:2] / oid[2:]).rename(target)
    for ref, node in ((MAIN, made[2]), (SIDE, made[0])):
        (server.path / ref).write_text(node + "\n")
    with pytest.raises(ReadingError):
        tell(server.path, (MAIN, None, made[2]))
    names = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
    named = (value.format(repo=server.path, tmp=tmp_path) for value in NAMED[how])
    push = tell(server.path, (MAIN, None, made[2]), environment=dict(zip(names, named, strict=True)))
    assert nodes(push) == made[1:]
    assert [(commit.size, commit.revision) for commit in push.commits] == [(GROWTH, 2), (GROWTH, 3)]


def test_a_waiting_directory_that_is_gone_since(server, tell):
    """git moves what was pushed into the repository once the hooks before it have agreed, and removes the directory."""
    made = build(server, line(3))
    point(server, {MAIN: made[2]})
    environment = {"GIT_OBJECT_DIRECTORY": f"{server.path}/objects/incoming-1"}
    push = tell(server.path, (MAIN, made[0], made[2]), environment=environment)
    assert [(commit.size, commit.revision) for commit in push.commits] == [(GROWTH, 2), (GROWTH, 3)]


# ---------------------------------------------------------------------------------------------- history that is not all


def test_a_shallow_repository(server, tmp_path, tell):
    made = build(server, line(6))
    point(server, {MAIN: made[3]})
    shallow = tmp_path / "shallow.git"
    run(["git", "clone", "-q", "--bare", "--depth=2", f"file://{server.path}", shallow])
    push = tell(shallow, (MAIN, None, made[3]))
    assert [(commit.node, commit.parents, commit.revision) for commit in push.commits] == [
        (made[2], (), 1),
        (made[3], (made[2],), 2),
    ]
    assert [change.type for change in push.commits[0].files] == [FileType.ADDED] * 4
    point(server, {MAIN: made[5]})
    run(["git", f"--git-dir={server.path}", "push", "-q", shallow, f"{made[5]}:{MAIN}"])
    push = tell(shallow, (MAIN, made[3], made[5]))
    assert [(commit.node, commit.revision) for commit in push.commits] == [(made[4], 3), (made[5], 4)]


def test_grafts(server, tell):
    made = build(server, [*line(4), Planned(message=b"another root\n", files=text_file(b"x", b"g"))])
    point(server, {MAIN: made[3]})
    (server.path / "info").mkdir(exist_ok=True)
    (server.path / "info" / "grafts").write_text(f"# a comment\n{made[3]} {made[1]} {made[4]}\n{made[1]}\nnonsense\n")
    push = tell(server.path, (MAIN, None, made[3]))
    assert {commit.node: commit.parents for commit in push.commits} == {
        made[1]: (),
        made[4]: (),
        made[3]: (made[1], made[4]),
    }
    assert push.commits[-1].revision == 3 == int(server.git("rev-list", "--count", made[3]))
    assert [change.path for change in push.commits[-1].files] == ["d/2", "d/3", "f", "g"][:3]


def test_replacements_are_ignored(server, tell):
    made = build(server, [*line(3), Planned((0,), files=text_file(b"other", b"g"), message=b"other\n")])
    point(server, {MAIN: made[2]})
    server.git("replace", made[2], made[3])
    server.git("replace", "--graft", made[1])
    push = tell(server.path, (MAIN, None, made[2]))
    assert nodes(push) == made[:3]
    assert [(commit.message, commit.revision) for commit in push.commits] == [(f"number {n}\n", n + 1) for n in range(3)]


def test_a_partial_clone_lacks_sizes_and_fetches_nothing(server, tmp_path, tell):
    made = build(server, line(3))
    point(server, {MAIN: made[2]})
    server.config("uploadpack.allowFilter", "true")
    partial_clone = tmp_path / "partial.git"
    run(["git", "clone", "-q", "--bare", "--filter=blob:none", f"file://{server.path}", partial_clone])
    before = sorted(partial_clone.rglob("*.pack"))
    push = tell(partial_clone, (MAIN, made[0], made[2]))
    assert nodes(push) == made[1:]
    assert [[(change.path, change.new_size, change.size_known) for change in commit.files] for commit in push.commits] == [
        [("d/1", None, False), ("f", None, False)],
        [("d/2", None, False), ("f", None, False)],
    ]
    assert [(commit.size, commit.revision) for commit in push.commits] == [(None, 2), (None, 3)]
    assert sorted(partial_clone.rglob("*.pack")) == before
    server.path.rename(tmp_path / "gone.git")
    assert tell(partial_clone, (MAIN, made[0], made[2])).commits == push.commits


@pytest.mark.parametrize(
    "extension",
    ["noop=true", "preciousObjects=true", "partialClone=origin", "refStorage=files", "objectFormat=sha1", "worktreeConfig=true"],
)
def test_extensions_that_change_nothing(server, lane, extension):
    made = build(server, line(2))
    point(server, {MAIN: made[1]})
    key, _, value = extension.partition("=")
    server.config("core.repositoryFormatVersion", "1")
    server.config(f"extensions.{key}", value)
    asked = event(server.path, [(MAIN, made[0], made[1])], time=LATE)
    if lane == "git" and run(["git", f"--git-dir={server.path}", "rev-parse", "--git-dir"], check=False).returncode:
        with pytest.raises(RepositoryUnreadable, match="refstorage"):
            git_lanes.read(asked, Settings(git_reader=lane))
        return
    push = git_lanes.read(asked, Settings(git_reader=lane))
    assert (nodes(push), push.commits[0].size) == ([made[1]], GROWTH)


# -------------------------------------------------------------------------------------------------------------- damage


def lose(server, oid):
    (server.path / "objects" / oid[:2] / oid[2:]).unlink()


def test_a_missing_blob_leaves_its_size_unknown(server, tell):
    made = build(server, line(3))
    unpack(server)
    point(server, {MAIN: made[2]})
    lose(server, server.node(f"{made[1]}:f"))
    push = tell(server.path, (MAIN, made[0], made[2]))
    assert [[(change.path, change.size_known) for change in commit.files] for commit in push.commits] == [
        [("d/1", True), ("f", False)],
        [("d/2", True), ("f", False)],
    ]
    assert [commit.size for commit in push.commits] == [None, None]


@pytest.mark.parametrize("lost", ["{}", "{}^", "{}^{{tree}}", "{}:d", "{}^:d"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other"])
def test_a_missing_or_damaged_tree_or_commit_is_an_error_that_names_it(server, lane, lost, damage):
    made = build(server, line(3))
    unpack(server)
    point(server, {MAIN: made[2]})
    oid = server.node(lost.format(made[2]))
    path = server.path / "objects" / oid[:2] / oid[2:]
    content = path.read_bytes()
    path.unlink()
    damaged = {"empty": b"", "cut": content[:-8], "other": b"\0" * 50}
    if damage in damaged:
        path.write_bytes(damaged[damage])
    with pytest.raises(ReadingError, match=oid):
        git_lanes.read(event(server.path, [(MAIN, made[0], made[2])], time=LATE), Settings(git_reader=lane))


def test_a_missing_object_of_another_ref_is_nobody_s_business(server, tell):
    made = build(server, [*line(3), Planned((0,), message=b"beside\n")])
    unpack(server)
    point(server, {MAIN: made[2], SIDE: made[3]})
    lose(server, made[3])
    assert nodes(tell(server.path, (MAIN, made[1], made[2]))) == [made[2]]


def test_a_directory_that_is_no_repository(tmp_path, tell):
    with pytest.raises(RepositoryGone):
        tell(tmp_path, (MAIN, None, ZERO.replace("0", "1")))


def test_a_configuration_that_git_cannot_parse(server, lane):
    made = build(server, line(2))
    point(server, {MAIN: made[1]})
    with (server.path / "config").open("a") as file:
        file.write("[core\nnonsense")
    with pytest.raises(RepositoryUnreadable, match="config"):
        git_lanes.read(event(server.path, [(MAIN, made[0], made[1])], time=LATE), Settings(git_reader=lane))
