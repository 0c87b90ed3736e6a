"""push -> payload: each key of the contract, what a limit leaves and marks, and that no input breaks it."""

import copy
import json
import time
from dataclasses import replace
from datetime import timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from payload import schema, text
from payload.build import Limits, Service, address, build, compose, copied
from payload.links import WEB_INTERFACES
from payload.push import (
    Commit,
    DroppedCommit,
    Event,
    FileChange,
    FileType,
    Person,
    Push,
    RefAction,
    RefChange,
    RefKind,
    RefUpdate,
    Repository,
)

NODES = [f"abcdef01234{number}" + "5" * 28 for number in range(5)]
ADA = Person("Ada Byron <Ada@Example.org>", "Ada Byron", "Ada@Example.org", 1774716012, 3600)
GRACE = Person("Grace Murray <grace@example.org>", "Grace Murray", "grace@example.org", 1775059200, -14400)
EVENT = Event("0123456789abcdef" * 2, "git", "/srv/git/team/kettle.git", 1774853731.5, "git", "ssh", options=("ci.skip",))
REPOSITORY = Repository.named("git", EVENT.path, canon_url="https://git.example.org")
POST = Service("post", {"url": "https://ci.example.org/hook"})
CONTRACT = Draft202012Validator(schema.document())


def commit(number=1, **changes):
    made = Commit(
        node=NODES[number],
        parents=(NODES[number - 1],),
        author=ADA,
        committer=GRACE,
        message="Boil water\n",
        branch="main",
        revision=number + 1,
        files=(FileChange("README", FileType.MODIFIED, 48, 35), FileChange("src/tea.py", FileType.ADDED, None, 20)),
        tree="b" * 40,
    )
    return replace(made, **changes)


def push(*commits, **changes):
    made = Push(
        event=EVENT,
        repository=REPOSITORY,
        user="ada",
        refs=(
            RefChange(
                "refs/heads/main",
                "main",
                RefKind.BRANCH,
                RefAction.UPDATE,
                NODES[0],
                commits[-1].node if commits else NODES[0],
                tuple(made.node for made in commits),
            ),
        ),
        commits=commits,
        total_commits=len(commits),
    )
    return replace(made, **changes)


# ------------------------------------------------------------------------------------------------------- key by key


def test_every_key_of_the_contract():
    built = build(push(commit()), POST, sequence=7, zone=timezone(timedelta(hours=2)), authors={"ada@example.org": "ada"})
    assert built == {
        "broker": "post",
        "service": {"url": "https://ci.example.org/hook"},
        "repository": {
            "absolute_url": "/team/kettle/",
            "name": "kettle",
            "owner": "team",
            "slug": "kettle",
            "website": "https://git.example.org/",
            "scm": "git",
            "fork": False,
            "is_private": True,
        },
        "commits": [
            {
                "node": "abcdef012341",
                "raw_node": NODES[1],
                "parents": ["abcdef012340"],
                "author": "ada",
                "raw_author": "Ada Byron <Ada@Example.org>",
                "branch": "main",
                "message": "Boil water\n",
                "revision": 2,
                "size": 7,
                "timestamp": "2026-03-28 18:40:12",
                "utctimestamp": "2026-03-28 16:40:12+00:00",
                "files": [{"file": "README", "type": "modified"}, {"file": "src/tea.py", "type": "added"}],
            }
        ],
        "canon_url": "https://git.example.org",
        "user": "ada",
        "truncated": False,
        "oberon": {
            "version": 1,
            "event": "0123456789abcdef" * 2,
            "sequence": 7,
            "time": "2026-03-30T06:55:31.500+00:00",
            "refs": [
                {
                    "ref": "refs/heads/main",
                    "name": "main",
                    "kind": "branch",
                    "action": "update",
                    "old": NODES[0],
                    "new": NODES[1],
                    "commits": ["abcdef012341"],
                    "dropped": 0,
                }
            ],
            "options": ["ci.skip"],
            "total_commits": 1,
            "source": "ssh",
            "links": {"repository": "https://git.example.org/team/kettle/", "compare": None},
            "commits": {
                NODES[1]: {
                    "author": {"name": "Ada Byron", "email": "Ada@Example.org", "date": "2026-03-28T17:40:12+01:00"},
                    "committer": {"name": "Grace Murray", "email": "grace@example.org", "date": "2026-04-01T12:00:00-04:00"},
                    "tree": "b" * 40,
                    "url": None,
                    "total_files": 2,
                    "files": [
                        {"file": "README", "type": "modified", "old_size": 48, "new_size": 35},
                        {"file": "src/tea.py", "type": "added", "old_size": None, "new_size": 20},
                    ],
                    "truncated": [],
                }
            },
        },
    }
    CONTRACT.validate(built)


def test_every_value_is_of_a_plain_type():
    # StrEnum members and tuples would pass json.dumps, and surprise a broker that pickles or compares types.
    def plain(value):
        match value:
            case dict():
                return all(type(key) is str and plain(item) for key, item in value.items())
            case list():
                return all(map(plain, value))
        return type(value) in (str, int, bool, type(None))

    assert plain(build(push(commit(diff="+x\n"), commit(2, committer=None)), POST))


def test_build_is_compose_and_address():
    made = push(commit())
    assert build(made, POST) == address(compose(made), POST)
    assert list(build(made, POST))[:2] == ["broker", "service"]


@pytest.mark.parametrize(
    ("raw", "authors", "author"),
    [
        ("Ada Byron <Ada@Example.org>", {"ada@example.org": "ada"}, "ada"),
        ("Ada Byron <ada@example.org>", {"grace@example.org": "grace"}, "Ada Byron"),
        ("Ada Byron <ada@example.org>", {}, "Ada Byron"),
        ("Ada Byron <ada@example.org>", {"ada@example.org": ""}, "Ada Byron"),
        ("<ada@example.org>", {}, "<ada@example.org>"),
        ("ada@example.org", {}, "ada@example.org"),
        ("ada@example.org", {"ada@example.org": "ada"}, "ada"),
        ("", {}, ""),
    ],
)
def test_author_is_the_login_else_the_name_else_all_of_it(raw, authors, author):
    [made] = build(push(commit(author=Person.parse(raw, 0, 0))), POST, authors=authors)["commits"]
    assert (made["author"], made["raw_author"]) == (author, raw)


GITEA = replace(REPOSITORY, links=WEB_INTERFACES["gitea"])


def test_links_lead_to_the_web_interface():
    oberon = build(push(commit(1), commit(2), repository=GITEA), POST)["oberon"]
    assert oberon["links"] == {
        "repository": "https://git.example.org/team/kettle/",
        "compare": f"https://git.example.org/team/kettle/compare/{NODES[0]}...{NODES[2]}",
    }
    assert {node: told["url"] for node, told in oberon["commits"].items()} == {
        node: f"https://git.example.org/team/kettle/commit/{node}" for node in NODES[1:3]
    }


def moved(name, old, new, kind=RefKind.BRANCH):
    return RefChange(f"refs/x/{name}", name, kind, RefAction.UPDATE, old, new)


@pytest.mark.parametrize(
    ("refs", "compared"),
    [
        ((moved("new", None, NODES[1]),), None),
        ((moved("gone", NODES[0], None),), None),
        ((moved("v1", NODES[0], NODES[1], RefKind.TAG),), None),
        ((), None),
        (
            (moved("new", None, NODES[3]), moved("v1", NODES[0], NODES[1], RefKind.TAG), moved("b", NODES[1], NODES[2])),
            f"refs/x/b/b/{NODES[1]}/{NODES[2]}",
        ),
        ((moved("b", NODES[2], NODES[1]), moved("c", NODES[1], NODES[2])), f"refs/x/b/b/{NODES[2]}/{NODES[1]}"),
        (
            (moved("b", NODES[2], NODES[1]), replace(moved("c", NODES[1], NODES[2]), commits=(NODES[2],))),
            f"refs/x/c/c/{NODES[1]}/{NODES[2]}",
        ),
    ],
)
def test_what_is_compared_is_the_first_branch_that_was_there_and_is(refs, compared):
    pages = replace(GITEA.links, compare="{canonUrl}/{ref}/{branch}/{old}/{new}")
    links = build(push(refs=refs, repository=replace(GITEA, links=pages)), POST)["oberon"]["links"]
    assert links["compare"] == (compared and f"https://git.example.org/{compared}")


def test_a_commit_on_no_branch_has_no_link_that_needs_one():
    pages = replace(GITEA.links, commit="{canonUrl}/{branch}/{short}")
    told = build(push(commit(1), commit(2, branch=None), repository=replace(GITEA, links=pages)), POST)["oberon"]["commits"]
    assert [told[node]["url"] for node in NODES[1:3]] == ["https://git.example.org/main/abcdef012341", None]


def test_only_addresses_of_the_web_are_links():
    there = replace(GITEA, canon_url="javascript:alert(1)//")
    oberon = build(push(commit(), repository=there), POST)["oberon"]
    assert (oberon["links"], oberon["commits"][NODES[1]]["url"]) == ({"repository": None, "compare": None}, None)


def test_nodes_of_a_sha256_repository():
    node, parents = "c" * 64, ("d" * 64, "e" * 64)
    built = build(push(commit(node=node, parents=parents, tree="f" * 64)), POST)
    [made] = built["commits"]
    assert (made["node"], made["raw_node"], made["parents"]) == ("c" * 12, node, ["d" * 12, "e" * 12])
    assert list(built["oberon"]["commits"]) == [node]
    CONTRACT.validate(built)


def test_what_may_be_null_is_null():
    bare = commit(
        parents=(),
        author=Person.parse("Ada"),
        committer=None,
        branch=None,
        revision=None,
        files=(FileChange("x", FileType.ADDED, size_known=False),),
        tree=None,
    )
    built = build(push(bare, repository=replace(REPOSITORY, canon_url="", website="")), POST)
    [made] = built["commits"]
    assert made["parents"] == []
    assert {key for key, value in made.items() if value is None} == {"branch", "revision", "size", "timestamp", "utctimestamp"}
    details = built["oberon"]["commits"][bare.node]
    assert details["committer"] is None
    assert details["author"]["date"] is None
    assert details["tree"] is None
    assert built["oberon"]["sequence"] is None
    assert built["oberon"]["links"] == {"repository": None, "compare": None}
    CONTRACT.validate(built)


@pytest.mark.parametrize(
    ("files", "size"),
    [
        ((FileChange("a", FileType.REMOVED, 120, None),), -120),
        ((FileChange("a", FileType.REMOVED, 14, None), FileChange("b", FileType.ADDED, None, 14)), 0),
        ((FileChange("a", FileType.ADDED, None, 9), FileChange("b", FileType.ADDED, size_known=False)), None),
        ((), 0),
    ],
)
def test_size(files, size):
    [made] = build(push(commit(files=files)), POST)["commits"]
    assert made["size"] == size


@pytest.mark.parametrize(
    ("kind", "action", "old", "new"),
    [
        (RefKind.BRANCH, RefAction.CREATE, None, NODES[0]),
        (RefKind.BRANCH, RefAction.DELETE, NODES[0], None),
        (RefKind.TAG, RefAction.CREATE, None, NODES[0]),
        (RefKind.BOOKMARK, RefAction.UPDATE, NODES[0], NODES[1]),
        (RefKind.NOTE, RefAction.UPDATE, NODES[0], NODES[1]),
        (RefKind.OTHER, RefAction.REWIND, NODES[1], NODES[0]),
    ],
)
def test_a_push_without_commits_is_still_an_event(kind, action, old, new):
    change = RefChange("the/ref", "ref", kind, action, old, new, dropped=None if action is RefAction.REWIND else 0)
    built = build(push(refs=(change,)), POST)
    assert built["commits"] == []
    assert built["truncated"] is False
    [told] = built["oberon"]["refs"]
    assert told == {
        "ref": "the/ref",
        "name": "ref",
        "kind": str(kind),
        "action": str(action),
        "old": old,
        "new": new,
        "commits": [],
        "dropped": change.dropped,
    }
    CONTRACT.validate(built)


def test_an_annotated_tag_tells_its_tagger_and_message():
    tag = RefChange("refs/tags/v1", "v1", RefKind.TAG, RefAction.CREATE, None, NODES[0], tagger=GRACE, message="One\n")
    built = build(push(refs=(tag,)), POST)
    [told] = built["oberon"]["refs"]
    assert told["tagger"] == {"name": "Grace Murray", "email": "grace@example.org", "date": "2026-04-01T12:00:00-04:00"}
    assert told["message"] == "One\n"
    assert "truncated" not in told
    CONTRACT.validate(built)


def test_a_rewind_tells_what_it_dropped():
    dropped = (DroppedCommit(NODES[1], GRACE, "\n  One\nmore\n"), DroppedCommit(NODES[2], GRACE, "ü" * 1000))
    change = RefChange(
        "refs/heads/main", "main", RefKind.BRANCH, RefAction.REWIND, NODES[1], NODES[0], dropped=2, dropped_commits=dropped
    )
    built = build(push(refs=(change,)), POST)
    assert built["oberon"]["refs"][0]["dropped_commits"] == [
        {"node": NODES[1][:12], "raw_node": NODES[1], "raw_author": GRACE.raw, "message": "One"},
        {"node": NODES[2][:12], "raw_node": NODES[2], "raw_author": GRACE.raw, "message": "ü" * 512},
    ]
    CONTRACT.validate(built)


def test_push_options_keep_what_json_can_keep():
    event = replace(EVENT, options=("caf\udcc3\udca9", "caf\udce9", "plain"))
    assert build(push(event=event), POST)["oberon"]["options"] == ["café", "caf\ufffd", "plain"]


# --------------------------------------------------------------------------------------------------- each its own copy


def test_a_broker_may_do_as_it_likes_with_its_payload():
    composed = compose(push(commit()))
    untouched = copy.deepcopy(composed)
    settings_of_service = {"url": "https://ci.example.org/hook", "headers": ["a"]}
    first = address(copied(composed), Service("post", settings_of_service))
    second = address(copied(composed), Service("email", {"to": "x@example.org"}))
    before = copy.deepcopy(second)

    del first["service"]["url"]
    first["service"]["headers"].append("b")
    del first["service"], first["broker"], first["oberon"]["event"]
    first["commits"][0]["files"].clear()
    first["commits"].clear()
    first["repository"]["name"] = "other"
    first["oberon"]["refs"].append("nonsense")

    assert second == before
    assert composed == untouched
    assert settings_of_service == {"url": "https://ci.example.org/hook", "headers": ["a"]}


# -------------------------------------------------------------------------------------------------------------- limits


def test_the_newest_commits_are_kept_and_the_cut_is_marked():
    commits = tuple(commit(number) for number in range(1, 5))
    built = build(push(*commits), POST, limits=Limits(max_commits=2))
    assert [made["raw_node"] for made in built["commits"]] == NODES[3:5]
    assert list(built["oberon"]["commits"]) == NODES[3:5]
    assert built["oberon"]["refs"][0]["commits"] == [node[:12] for node in NODES[3:5]]
    assert (built["truncated"], built["oberon"]["total_commits"]) == (True, 4)
    CONTRACT.validate(built)


def test_a_cut_that_the_reader_made_is_marked_too():
    built = build(push(commit(), total_commits=100_000), POST)
    assert (len(built["commits"]), built["truncated"], built["oberon"]["total_commits"]) == (1, True, 100_000)


@pytest.mark.parametrize(
    ("count", "max_commits", "truncated"), [(2, 2, False), (2, 3, False), (2, 1, True), (2, 0, True), (0, 0, False)]
)
def test_truncated(count, max_commits, truncated):
    commits = [commit(number) for number in range(1, count + 1)]
    built = build(push(*commits), POST, limits=Limits(max_commits=max_commits))
    assert (len(built["commits"]), built["truncated"]) == (min(count, max_commits), truncated)


@pytest.mark.parametrize(
    ("limits", "marked"),
    [
        (Limits(max_files=2, max_message_bytes=11, max_diff_bytes=5), []),
        (Limits(max_files=1, max_message_bytes=11, max_diff_bytes=5), ["files"]),
        (Limits(max_files=2, max_message_bytes=10, max_diff_bytes=5), ["message"]),
        (Limits(max_files=2, max_message_bytes=11, max_diff_bytes=4), ["diff"]),
        (Limits(max_files=0, max_message_bytes=0, max_diff_bytes=0), ["files", "message", "diff"]),
    ],
)
def test_what_is_cut_in_a_commit_is_marked(limits, marked):
    made = commit(diff="+++ x")
    built = build(push(made), POST, limits=limits)
    details = built["oberon"]["commits"][made.node]
    assert details["truncated"] == marked
    assert details["total_files"] == 2
    assert details["diff"] == "+++ x"[: limits.max_diff_bytes]
    [told] = built["commits"]
    assert told["message"] == made.message[: limits.max_message_bytes]
    assert len(told["files"]) == len(details["files"]) == min(2, limits.max_files)
    assert told["size"] == 7, "the size is that of the whole commit"
    CONTRACT.validate(built)


def test_the_message_of_a_tag_is_cut_and_marked():
    tag = RefChange("refs/tags/v1", "v1", RefKind.TAG, RefAction.CREATE, None, NODES[0], tagger=GRACE, message="x" * 11)
    built = build(push(refs=(tag,)), POST, limits=Limits(max_message_bytes=10))
    [told] = built["oberon"]["refs"]
    assert (told["message"], told["truncated"]) == ("x" * 10, ["message"])
    CONTRACT.validate(built)


def test_a_cut_never_splits_a_character():
    [told] = build(push(commit(message="äää")), POST, limits=Limits(max_message_bytes=5))["commits"]
    assert told["message"] == "ää"


def test_the_diff_is_there_only_if_it_was_read():
    assert "diff" not in build(push(commit()), POST)["oberon"]["commits"][NODES[1]]
    assert build(push(commit(diff="")), POST)["oberon"]["commits"][NODES[1]]["diff"] == ""


def test_a_push_as_large_as_the_limits_allow_stays_within_them():
    files = tuple(FileChange(f"file{number}", FileType.ADDED, None, 1) for number in range(1500))
    built = build(push(commit(message="m" * 10_000_000, files=files)), POST)
    [told] = built["commits"]
    assert (len(told["files"]), len(told["message"])) == (1000, 65536)
    assert built["oberon"]["commits"][NODES[1]]["truncated"] == ["files", "message"]
    assert built["oberon"]["commits"][NODES[1]]["total_files"] == 1500


# --------------------------------------------------------------------------------------------------------------- times


def times(time_s, offset_s=0, zone=timezone.utc):  # noqa: UP017 - the parameter is a zone, and this is one
    built = build(push(commit(author=replace(ADA, time=time_s, offset_s=offset_s))), POST, zone=zone)
    [told] = built["commits"]
    return told["timestamp"], told["utctimestamp"], built["oberon"]["commits"][NODES[1]]["author"]["date"]


@pytest.mark.parametrize(
    ("time_s", "offset_s", "expected"),
    [
        (0, 0, ("1970-01-01 00:00:00", "1970-01-01 00:00:00+00:00", "1970-01-01T00:00:00+00:00")),
        (-1, 0, ("1969-12-31 23:59:59", "1969-12-31 23:59:59+00:00", "1969-12-31T23:59:59+00:00")),
        (0, 19800, ("1970-01-01 00:00:00", "1970-01-01 00:00:00+00:00", "1970-01-01T05:30:00+05:30")),
        (0, -43200, ("1970-01-01 00:00:00", "1970-01-01 00:00:00+00:00", "1969-12-31T12:00:00-12:00")),
        (0, 86340, ("1970-01-01 00:00:00", "1970-01-01 00:00:00+00:00", "1970-01-01T23:59:00+23:59")),
        (0, 86400, ("1970-01-01 00:00:00", "1970-01-01 00:00:00+00:00", "1970-01-01T00:00:00+00:00")),
        (0, 359_940, ("1970-01-01 00:00:00", "1970-01-01 00:00:00+00:00", "1970-01-01T00:00:00+00:00")),
        (0, 1, ("1970-01-01 00:00:00", "1970-01-01 00:00:00+00:00", "1970-01-01T00:00:00+00:00")),
        (0, None, ("1970-01-01 00:00:00", "1970-01-01 00:00:00+00:00", "1970-01-01T00:00:00+00:00")),
        (99_999_999_999_999_999, 0, ("9999-12-30 00:00:00", "9999-12-30 00:00:00+00:00", "9999-12-30T00:00:00+00:00")),
        (-(10**30), 0, ("0001-01-02 00:00:00", "0001-01-02 00:00:00+00:00", "0001-01-02T00:00:00+00:00")),
        (10**30, 86340, ("9999-12-30 00:00:00", "9999-12-30 00:00:00+00:00", "9999-12-30T23:59:00+23:59")),
        (-(10**30), -86340, ("0001-01-02 00:00:00", "0001-01-02 00:00:00+00:00", "0001-01-01T00:01:00-23:59")),
        (None, 3600, (None, None, None)),
    ],
)
def test_times(time_s, offset_s, expected):
    assert times(time_s, offset_s) == expected


@pytest.mark.parametrize(
    ("time_s", "timestamp", "utctimestamp"),
    [
        # Pairs that Bitbucket published; its server stood in Central Europe.
        (1338350823, "2012-05-30 06:07:03", "2012-05-30 04:07:03+00:00"),
        (1356117742, "2012-12-21 20:22:22", "2012-12-21 19:22:22+00:00"),
        (1400688719, "2014-05-21 18:11:59", "2014-05-21 16:11:59+00:00"),
        # The hour that comes twice, and the hour that is left out.
        (1445733000, "2015-10-25 02:30:00", "2015-10-25 00:30:00+00:00"),
        (1445736600, "2015-10-25 02:30:00", "2015-10-25 01:30:00+00:00"),
        (1427590799, "2015-03-29 01:59:59", "2015-03-29 00:59:59+00:00"),
        (1427590800, "2015-03-29 03:00:00", "2015-03-29 01:00:00+00:00"),
        # Before there were zones, local time had seconds of its own.
        (-3_000_000_000, "1874-12-07 19:33:28", "1874-12-07 18:40:00+00:00"),
        (10**30, "9999-12-30 01:00:00", "9999-12-30 00:00:00+00:00"),
        (-(10**30), "0001-01-02 00:53:28", "0001-01-02 00:00:00+00:00"),
    ],
)
def test_timestamp_is_in_the_servers_zone(time_s, timestamp, utctimestamp):
    assert times(time_s, zone=ZoneInfo("Europe/Berlin"))[:2] == (timestamp, utctimestamp)


@pytest.fixture
def machine_in_central_europe(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(("time_s", "timestamp"), [(1338350823, "2012-05-30 06:07:03"), (1356117742, "2012-12-21 20:22:22")])
def test_without_a_zone_the_machines_is_taken(machine_in_central_europe, time_s, timestamp):
    assert times(time_s, zone=None)[0] == timestamp


@pytest.mark.parametrize("time_s", [10**30, -(10**30)])
def test_the_ends_of_time_in_the_machines_zone(machine_in_central_europe, time_s):
    assert times(time_s, zone=None)[0] is not None


@pytest.mark.parametrize(
    ("time_s", "expected"),
    [
        (1774853731.5, "2026-03-30T06:55:31.500+00:00"),
        (0, "1970-01-01T00:00:00.000+00:00"),
        (1e300, "9999-12-30T00:00:00.000+00:00"),
        (-1e300, "0001-01-02T00:00:00.000+00:00"),
    ],
)
def test_time_of_the_event(time_s, expected):
    assert build(push(event=replace(EVENT, time=time_s)), POST)["oberon"]["time"] == expected


# ----------------------------------------------------------------------------------------------------- wild input

told = st.binary(max_size=40).map(text.decode)
told_or_none = st.none() | told
nodes = st.text("0123456789abcdef", min_size=40, max_size=40) | st.text("0123456789abcdef", min_size=64, max_size=64)
moments = st.none() | st.integers()
offsets = st.none() | st.integers(-400_000, 400_000)
people = st.one_of(
    st.builds(Person.parse, told, moments, offsets),
    st.builds(Person, told, told, told, moments, offsets),
)
lengths = st.none() | st.integers(0, 2**70)
file_changes = st.builds(
    FileChange, st.binary(max_size=40).map(text.decode_path), st.sampled_from(FileType), lengths, lengths, st.booleans()
)
commits = st.builds(
    Commit,
    node=nodes,
    parents=st.lists(nodes, max_size=3).map(tuple),
    author=people,
    committer=st.none() | people,
    message=told,
    branch=told_or_none,
    revision=st.none() | st.integers(0, 2**70),
    files=st.lists(file_changes, max_size=4).map(tuple),
    tree=st.none() | nodes,
    diff=told_or_none,
)
changes = st.builds(
    RefChange,
    ref=told,
    name=told,
    kind=st.sampled_from(RefKind),
    action=st.sampled_from(RefAction),
    old=st.none() | nodes,
    new=st.none() | nodes,
    commits=st.lists(nodes, max_size=3).map(tuple),
    dropped=st.none() | st.integers(0, 2**70),
    dropped_commits=st.lists(st.builds(DroppedCommit, nodes, people, told), max_size=2).map(tuple),
    tagger=st.none() | people,
    message=told_or_none,
)
escaped = st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
events = st.builds(
    Event,
    id=st.binary(min_size=16, max_size=16).map(bytes.hex),
    scm=st.sampled_from(["git", "hg"]),
    path=escaped.map("/".__add__),
    time=st.floats(allow_nan=False),
    login=escaped,
    source=st.sampled_from(["ssh", "http", "local"]),
    refs=st.lists(st.builds(RefUpdate, escaped, nodes, nodes), max_size=2).map(tuple),
    options=st.lists(escaped, max_size=3).map(tuple),
)
pushes = events.flatmap(
    lambda event: st.builds(
        Push,
        event=st.just(event),
        repository=st.builds(
            Repository.named,
            st.just(event.scm),
            st.just(event.path),
            canon_url=told_or_none | st.just("https://git.example.org"),
            is_private=st.booleans(),
            links=st.sampled_from(list(WEB_INTERFACES.values())),
        ),
        user=told,
        refs=st.lists(changes, max_size=3).map(tuple),
        commits=st.lists(commits, max_size=3, unique_by=lambda made: made.node).map(tuple),
        total_commits=st.integers(3, 2**40),
    )
)
small_limits = st.builds(Limits, *[st.integers(0, 20)] * 4)


@settings(max_examples=150, deadline=None)
@given(made=pushes, limits=small_limits, sequence=st.none() | st.integers(0), zone=st.sampled_from([timezone.utc, None]))  # noqa: UP017 - a zone among zones
def test_any_push_makes_a_payload_that_strict_parsers_and_the_contract_accept(made, limits, sequence, zone):
    built = build(made, POST, sequence=sequence, zone=zone, limits=limits)
    wire = json.dumps(built, ensure_ascii=False, allow_nan=False).encode("utf-8")
    assert json.loads(wire) == built
    CONTRACT.validate(built)
    assert build(made, POST, sequence=sequence, zone=zone, limits=limits) == built
