"""Events of real pushes to real repositories, read by each lane and compared with what git itself says of the same commits."""

from __future__ import annotations

import random
import time

import pytest

from brokers.config import Settings
from githooks.reading import ObjectMissing, RepositoryGone
from payload.push import FileType, RefAction, RefKind
from tests.support import git_lanes
from tests.support.command import run
from tests.support.git_lanes import nodes, told
from tests.support.histories import Planned, build, event, point, reachable

MAIN, SIDE, TAG = "refs/heads/main", "refs/heads/side", "refs/tags/v1"


def tell(server, *moves, path=None, **options):
    return git_lanes.tell(path or server.path, *moves, **options)


@pytest.fixture
def server(git_server):
    made = git_server()
    made.git("symbolic-ref", "HEAD", MAIN)
    return made


@pytest.fixture
def clone(server):
    return server.clone()


def files_git_tells(server, node, *, merge):
    """[(path, type), ...] and the growth in bytes, from `git diff-tree` and `cat-file` alone."""
    arguments = ["-c"] if merge else ["--root"]
    raw = server.git("diff-tree", "-r", "-z", "--no-renames", "--no-commit-id", "--name-status", *arguments, node)
    fields = raw.split("\0")[:-1]
    kinds = {"A": FileType.ADDED, "D": FileType.REMOVED, "M": FileType.MODIFIED, "T": FileType.MODIFIED}
    found, growth = [], 0
    for how, path in zip(fields[::2], fields[1::2], strict=True):
        kind = FileType.MODIFIED
        if len(set(how)) == 1:
            kind = kinds[how[0]]
        elif "D" in how:
            kind = FileType.REMOVED
        found.append((path, kind))
        for sign, revision in ((1, node), (-1, f"{node}^1")):
            line = run(["git", f"--git-dir={server.path}", "ls-tree", "-z", revision, "--", f":(top,literal){path}"], check=False)
            mode, _, oid = line.stdout.split("\t")[0].partition(" ") if line.stdout else ("", "", "")
            if oid and mode != "160000":
                growth += sign * int(server.git("cat-file", "-s", oid.split(" ")[1]))
    return sorted(found, key=lambda row: row[0].encode("utf-8", "surrogateescape")), growth


def assert_as_git_says(server, push):
    for commit in push.commits:
        fields = "%H%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%T%x00%B"
        told = server.git(
            "-c", "i18n.logOutputEncoding=utf-8", "log", "-1", "--no-show-signature", f"--format={fields}", commit.node
        )
        node, parents, *people, tree, message = told.split("\0")
        assert (commit.node, " ".join(commit.parents), commit.tree) == (node, parents, tree)
        found = [commit.author.name, commit.author.email, str(commit.author.time)]
        found += [commit.committer.name, commit.committer.email, str(commit.committer.time)]
        assert found == people
        assert commit.message.rstrip("\n") == message.rstrip("\n")
        assert commit.revision == int(server.git("rev-list", "--count", node))
        files, growth = files_git_tells(server, node, merge=len(commit.parents) > 1)
        assert [(change.path, change.type) for change in commit.files] == files
        assert commit.size == growth


# ------------------------------------------------------------------------------------------------------- kinds of push


def test_a_first_push_and_a_fast_forward(server, clone):
    first = clone.commit({"a.txt": "one\n", "dir/b.txt": "two\n"}, message="begin\n")
    clone.push(f"HEAD:{MAIN}")
    push = tell(server, (MAIN, None, first))
    assert nodes(push) == [first]
    (change,) = push.refs
    assert (change.ref, change.name, change.kind, change.action) == (MAIN, "main", RefKind.BRANCH, RefAction.CREATE)
    assert (change.old, change.new, change.commits, change.dropped) == (None, first, (first,), 0)
    assert (push.commits[0].branch, push.commits[0].revision, push.commits[0].size) == ("main", 1, 8)
    assert [(file.path, file.type, file.old_size, file.new_size) for file in push.commits[0].files] == [
        ("a.txt", FileType.ADDED, None, 4),
        ("dir/b.txt", FileType.ADDED, None, 4),
    ]
    second = clone.commit({"a.txt": None, "dir/b.txt": "two and more\n"}, message="go on\n")
    clone.push(f"HEAD:{MAIN}")
    push = tell(server, (MAIN, first, second))
    assert nodes(push) == [second]
    assert (push.refs[0].action, push.commits[0].revision, push.commits[0].size) == (RefAction.UPDATE, 2, 9 - 4)
    assert push.commits[0].files[1].growth == 9
    assert_as_git_says(server, push)


def test_a_branch_at_an_old_commit_and_a_delete_bring_nothing(server):
    made = build(server, [Planned(), Planned((0,))])
    point(server, {MAIN: made[1], SIDE: made[0]})
    push = tell(server, (SIDE, None, made[0]))
    assert (push.commits, push.refs[0].action, push.refs[0].commits) == ((), RefAction.CREATE, ())
    point(server, {SIDE: None})
    push = tell(server, (SIDE, made[0], None))
    assert (push.commits, push.refs[0].action) == ((), RefAction.DELETE)
    assert (push.refs[0].old, push.refs[0].new, push.refs[0].dropped) == (made[0], None, 0)


def test_a_forced_push_tells_what_is_new_and_how_much_went(server):
    made = build(server, [Planned(), Planned((0,)), Planned((1,)), Planned((0,), message=b"instead\n")])
    point(server, {MAIN: made[3]})
    push = tell(server, (MAIN, made[2], made[3]))
    assert (nodes(push), push.refs[0].action, push.refs[0].dropped) == ([made[3]], RefAction.REWIND, 2)
    point(server, {MAIN: made[0]})
    push = tell(server, (MAIN, made[2], made[0]))
    assert (nodes(push), push.refs[0].action, push.refs[0].dropped) == ([], RefAction.REWIND, 2)
    push = tell(server, (MAIN, "e" * 40, made[0]))
    assert (push.refs[0].action, push.refs[0].dropped) == (RefAction.REWIND, None)


def test_a_fast_forward_onto_what_another_branch_has_is_an_update(server):
    made = build(server, [Planned(), *(Planned((index,)) for index in range(5))])
    point(server, {MAIN: made[5], SIDE: made[5]})
    push = tell(server, (MAIN, made[1], made[5]))
    assert (push.commits, push.refs[0].action, push.refs[0].dropped) == ((), RefAction.UPDATE, 0)


def test_several_refs_share_their_commits_out(server):
    made = build(server, [Planned(), Planned((0,)), Planned((1,)), Planned((1,), message=b"s\n"), Planned((3,))])
    point(server, {MAIN: made[2], SIDE: made[3], TAG: made[4]})
    push = tell(server, (TAG, None, made[4]), (SIDE, None, made[3]), (MAIN, None, made[2]))
    assert {commit.node: commit.branch for commit in push.commits} == {
        made[0]: "main",
        made[1]: "main",
        made[2]: "main",
        made[3]: "side",
        made[4]: None,
    }
    assert [change.commits for change in push.refs] == [(made[4],), (made[3],), tuple(made[:3])]
    assert push.total_commits == 5


def test_one_commit_to_two_branches_at_once_is_told_once(server):
    made = build(server, [Planned(), Planned((0,))])
    point(server, {"refs/heads/a": made[1], "refs/heads/b": made[1], TAG: made[1]})
    push = tell(server, ("refs/heads/b", made[0], made[1]), ("refs/heads/a", made[0], made[1]), (TAG, None, made[1]))
    assert (nodes(push), push.commits[0].branch) == ([made[1]], "b")
    assert [change.commits for change in push.refs] == [(made[1],), (), ()]


def test_annotated_and_nested_tags(server, clone):
    first = clone.commit({"a": "1"})
    clone.push(f"HEAD:{MAIN}")
    second = clone.commit({"a": "2"})
    clone.git("tag", "-a", "-m", "inner", "inner", second)
    clone.git("tag", "-a", "-m", "outer\n\nwith more", "v1", "inner")
    clone.push("v1")
    push = tell(server, (TAG, None, clone.node("v1")))
    assert (nodes(push), push.commits[0].branch) == ([second], None)
    (change,) = push.refs
    assert (change.kind, change.name, change.new, change.message) == (RefKind.TAG, "v1", clone.node("v1"), "outer\n\nwith more\n")
    assert change.tagger.email
    clone.push(f"HEAD:{MAIN}")
    assert tell(server, (MAIN, first, second)).commits == ()  # the nested tag holds it, loose ...
    server.git("pack-refs", "--all")
    assert tell(server, (MAIN, first, second)).commits == ()  # ... and packed
    push = tell(server, (TAG, first, clone.node("v1")))
    assert (push.refs[0].action, push.refs[0].dropped) == (RefAction.UPDATE, 0)


def test_lightweight_tags_and_tags_of_what_is_no_commit(server, clone):
    first = clone.commit({"a": "1"})
    clone.push(f"HEAD:{MAIN}")
    clone.git("tag", "light", first)
    clone.git("tag", "-a", "-m", "a key", "blob", "HEAD:a")
    clone.git("tag", "tree", "HEAD^{tree}")
    clone.git("tag", "bare-blob", "HEAD:a")
    names = ("light", "blob", "tree", "bare-blob")
    clone.push(*names)
    push = tell(server, *((f"refs/tags/{name}", None, clone.node(name)) for name in names))
    assert push.commits == ()
    assert [change.message for change in push.refs] == [None, "a key\n", None, None]
    second = clone.commit({"a": "2"})
    clone.push(f"HEAD:{MAIN}")
    assert nodes(tell(server, (MAIN, first, second))) == [second]


def test_only_the_newest_are_read_but_all_are_counted(server):
    made = build(server, [Planned(time=1_700_000_000), *(Planned((i,), 1_700_000_001 + i) for i in range(30))])
    point(server, {MAIN: made[-1]})
    push = tell(server, (MAIN, None, made[-1]), max_commits=5)
    assert (nodes(push), push.total_commits, len(push.refs[0].commits)) == (made[-5:], 31, 5)
    assert [commit.revision for commit in push.commits] == [27, 28, 29, 30, 31]
    assert tell(server, (MAIN, None, made[-1]), max_commits=0).commits == ()
    assert tell(server, (MAIN, None, made[-1]), git_revision="off").commits[0].revision is None


# ------------------------------------------------------------------------------------------------ kinds of repository


def test_a_raw_commit_of_any_kind_is_read(server):
    tree = server.git("mktree", input="")
    raw = f"tree {tree}\nauthor \udcff <\ncommitter nobody 99999999999999999999 +9\nencoding \udcff\nodd\n\n\udcfe\0".encode(
        "utf-8", "surrogateescape"
    )
    odd = server.git("hash-object", "-w", "-t", "commit", "--literally", "--stdin", input=raw)
    server.git("update-ref", MAIN, odd)
    push = tell(server, (MAIN, None, odd))
    assert (push.commits[0].message, push.commits[0].files) == ("\ufffd\0", ())


def test_what_is_gone_is_an_error_that_says_so(server, tmp_path):
    made = build(server, [Planned()])
    with pytest.raises(ObjectMissing, match=f"{server.path}: object e+ is missing"):
        tell(server, (MAIN, made[0], "e" * 40))
    with pytest.raises(RepositoryGone):
        tell(server, (MAIN, made[0], made[0]), path=tmp_path / "gone.git")


def test_django_pistons_two_published_sizes_are_net_growth(server):
    """`size` in the API's examples of 2009 was 4166 for 18847 -> 23013 bytes and 561 for 4236 -> 4797."""
    sizes = (18847, 23013), (4236, 4797)
    plan = [Planned(files={b"oauth.py": ("100644", b"o" * 18847), b"handler.py": ("100644", b"h" * 4236)})]
    plan += [Planned((0,), files={b"oauth.py": ("100644", b"o" * sizes[0][1])})]
    plan += [Planned((1,), files={b"handler.py": ("100644", b"h" * sizes[1][1])})]
    made = build(server, plan)
    point(server, {MAIN: made[2]})
    assert [commit.size for commit in tell(server, (MAIN, made[0], made[2])).commits] == [4166, 561]


def test_a_push_through_ssh_is_read_with_its_facts(server, clone, ssh):
    node = clone.commit({"a": "1"})
    clone.push(f"HEAD:{MAIN}", url=ssh.url(server.path), env=ssh.env)
    environment = {"GL_USER": "ann", "GL_REPO": "team/app"}
    push = told(event(server.path, [(MAIN, None, node)], time=time.time(), environment=environment), Settings())
    assert (push.user, push.repository.absolute_url, nodes(push)) == ("ann", "/team/app/", [node])


# ------------------------------------------------------------------------------------------------------ any history


@pytest.mark.parametrize("state", ["loose", "packed"])
@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_a_made_up_history_is_told_as_git_tells_it(git_server, object_format, state):
    server = git_server(object_format=object_format)
    plan = _made_up(random.Random(5), 40)
    made = build(server, plan)
    point(server, {f"refs/heads/{index}": node for index, node in enumerate(made)})
    if state == "packed":
        server.git("repack", "-adq")
    server.git("update-ref", "--stdin", input="".join(f"delete refs/heads/{index}\n" for index in range(20, 39)))
    push = tell(server, ("refs/heads/39", None, made[39]))
    expected = reachable(plan, [39]) - reachable(plan, range(20))
    assert {made.index(node) for node in nodes(push)} == expected
    assert len(expected) > 5
    assert_as_git_says(server, push)


def _made_up(dice, count):
    """Merges up to four-fold, files of all kinds that come and go."""
    names = [b"a", b"b", b"d/a", b"d/e/f", b"d.x", b"z"]
    plan = []
    for index in range(count):
        near = range(max(0, index - 6), index)
        parents = dice.sample(near, k=min(len(near), dice.choice([1, 1, 1, 1, 2, 2, 4])))
        files = {}
        for name in dice.sample(names, k=dice.randrange(4)):
            kind = dice.choice(["100644", "100644", "100755", "120000", "160000", None])
            content = dice.randbytes(dice.randrange(200)) if kind != "160000" else b"%040x" % dice.randrange(1, 9)
            files[name] = None if kind is None else (kind, content)
        if "160000" in {what[0] for what in files.values() if what}:
            files = {
                name: what if what is None or what[0] != "160000" else ("120000", b"no module") for name, what in files.items()
            }
        plan.append(Planned(tuple(parents), 1_700_000_000 + index * 60, files, b"change %d\n\nbody\n" % index))
    return plan
