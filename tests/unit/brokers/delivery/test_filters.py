import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.config import Configuration, Entry
from brokers.delivery.filters import concerns, matches, told

NODES = [digit * 12 for digit in "abcdef"]


def ref(name="refs/heads/main", kind="branch", action="update", commits=("aaaaaaaaaaaa",), new=None):
    return {
        "ref": name,
        "name": name.split("/")[-1],
        "kind": kind,
        "action": action,
        "new": new or (commits[-1] + "0" * 28 if commits else "9" * 40),
        "commits": list(commits),
    }


def commit(node="aaaaaaaaaaaa", author="Ada <ada@example.org>", files=("src/a.py",), message="Work\n", parents=()):
    return {
        "node": node,
        "raw_node": node + "0" * 28,
        "parents": list(parents),
        "branch": "main",
        "author": author.split(" ")[0],
        "raw_author": author,
        "message": message,
        "files": [{"file": file, "type": "modified"} for file in files],
    }


def composed(refs, commits=(), options=(), total=None, cut=()):
    total = len(commits) if total is None else total
    return {
        "repository": {"scm": "git"},
        "commits": list(commits),
        "truncated": total > len(commits),
        "oberon": {
            "refs": refs,
            "options": list(options),
            "total_commits": total,
            "links": {"repository": "https://git.example.org/", "compare": f"https://git.example.org/to/{refs[0]['new']}"},
            "commits": {one["raw_node"]: {"truncated": ["files"] if one["node"] in cut else []} for one in commits},
        },
    }


def service(**settings):
    entries = [Entry("ci", "broker", "post", "f"), *(Entry("ci", key, value, "f") for key, value in settings.items())]
    parsed = Configuration.parse(entries).services[0]
    assert parsed.problems == ()
    return parsed


def kept(settings, payload):
    narrowed, reason = concerns(service(**settings), payload)
    if narrowed is None:
        return reason
    return [one["ref"] for one in narrowed["oberon"]["refs"]], [one["node"] for one in narrowed["commits"]]


@pytest.mark.parametrize(
    ("patterns", "value", "expected"),
    [
        ((), "anything", True),
        (("refs/heads/*",), "refs/heads/main", True),
        (("refs/heads/",), "refs/heads/feature/x", True),
        (("refs/heads/main",), "refs/heads/mainline", False),
        (("!refs/heads/wip/*",), "refs/heads/main", True),
        (("!refs/heads/wip/*",), "refs/heads/wip/x", False),
        (("refs/heads/*", "!refs/heads/wip/*"), "refs/heads/wip/x", False),
        (("*.PY",), "a.py", False),
    ],
)
def test_patterns(patterns, value, expected):
    assert matches(patterns, value) is expected


def test_without_filters_the_whole_push_is_delivered():
    payload = composed([ref()], [commit()])
    assert concerns(service(), payload) == (payload, "")
    assert told(payload) == ""


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"refs": "refs/tags/"}, "skipped: refs filter"),
        ({"refs": "!main"}, "skipped: refs filter"),
        ({"events": "create tag"}, "skipped: events filter"),
        ({"paths": "docs/"}, "skipped: paths filter"),
        ({"paths": "src/ !*.py"}, "skipped: paths filter"),
        ({"authors": "!*ada@example.org*"}, "skipped: authors filter"),
    ],
)
def test_what_a_filter_keeps_back_says_which_filter(settings, reason):
    assert concerns(service(**settings), composed([ref()], [commit()])) == (None, reason)


@pytest.mark.parametrize(
    "settings",
    [
        {"refs": "main"},
        {"refs": "refs/heads/main"},
        {"events": "push"},
        {"events": "update"},
        {"paths": "src/"},
        {"authors": "Ada*"},
    ],
)
def test_what_a_filter_lets_through(settings):
    assert kept(settings, composed([ref()], [commit()])) == (["refs/heads/main"], ["aaaaaaaaaaaa"])


def test_only_the_matching_refs_and_their_commits_remain():
    payload = composed(
        [ref(), ref("refs/heads/other", commits=["bbbbbbbbbbbb"])],
        [commit(), commit("bbbbbbbbbbbb")],
    )
    narrowed, _ = concerns(service(refs="other"), payload)
    assert narrowed is not None
    assert [one["ref"] for one in narrowed["oberon"]["refs"]] == ["refs/heads/other"]
    assert [one["node"] for one in narrowed["commits"]] == ["bbbbbbbbbbbb"]
    assert list(narrowed["oberon"]["commits"]) == ["bbbbbbbbbbbb" + "0" * 28]
    assert narrowed["oberon"]["total_commits"] == 1
    assert narrowed["oberon"]["filtered"] == {"commits": 1, "refs": 1, "by": ["refs filter"]}
    assert told(narrowed) == "left out: 1 of 2 commits, 1 of 2 refs (refs filter)"
    assert len(payload["commits"]) == 2


def test_of_a_branch_only_the_matching_commits_remain():
    payload = composed([ref(commits=NODES[:3])], [commit(NODES[0]), commit(NODES[1], files=["docs/a"]), commit(NODES[2])])
    narrowed, _ = concerns(service(paths="docs/"), payload)
    assert narrowed is not None
    assert [one["node"] for one in narrowed["commits"]] == [NODES[1]]
    assert [one["commits"] for one in narrowed["oberon"]["refs"]] == [[NODES[1]]]
    assert narrowed["oberon"]["filtered"] == {"commits": 2, "refs": 0, "by": ["paths filter"]}
    assert told(narrowed) == "left out: 2 of 3 commits (paths filter)"
    assert payload["oberon"]["refs"][0]["commits"] == NODES[:3]


@pytest.mark.parametrize(("refs", "kept_link"), [("main", True), ("other", False)])
def test_the_link_that_compares_goes_with_its_ref(refs, kept_link):
    payload = composed([ref(), ref("refs/heads/other", commits=NODES[1:2])], [commit(), commit(NODES[1])])
    narrowed, _ = concerns(service(refs=refs), payload)
    assert narrowed is not None
    assert narrowed["oberon"]["links"]["repository"] == "https://git.example.org/"
    assert (narrowed["oberon"]["links"]["compare"] is not None) == kept_link


def test_a_push_without_commits_passes_a_path_filter():
    payload, reason = concerns(service(paths="docs/"), composed([ref(action="delete", commits=())]))
    assert (payload is not None, reason) == (True, "")


def test_a_tag_pushed_with_a_branch_passes_a_path_filter_as_it_would_alone():
    payload = composed([ref(), ref("refs/tags/v1", "tag", "create", ())], [commit()])
    assert kept({"paths": "docs/"}, payload) == (["refs/tags/v1"], [])


def test_a_commit_whose_files_are_not_all_listed_may_touch_any_path():
    payload = composed([ref(commits=NODES[:2])], [commit(NODES[0]), commit(NODES[1])], cut=[NODES[1]])
    assert kept({"paths": "docs/"}, payload) == (["refs/heads/main"], [NODES[1]])


@pytest.mark.parametrize("settings", [{"paths": "docs/"}, {"authors": "Grace*"}])
def test_a_push_whose_commits_are_not_all_listed_may_concern_anybody(settings):
    narrowed, _ = concerns(service(**settings), composed([ref()], [commit()], total=2000))
    assert narrowed is not None
    assert (narrowed["commits"], narrowed["oberon"]["total_commits"], len(narrowed["oberon"]["refs"])) == ([], 1999, 1)


def test_a_push_of_refs_that_do_not_count_is_for_nobody():
    payload = {**composed([ref()]), "commits": []}
    payload["oberon"]["refs"] = []
    assert concerns(service(), payload) == (None, "skipped: no ref that counts has moved")


def test_an_alert_passes_every_filter():
    payload = composed([ref()], [commit(message="[skip oberon]")], ["oberon.skip"])
    payload["oberon"]["alert"] = {"kind": "dead"}
    assert concerns(service(refs="other", paths="docs/"), payload) == (payload, "")


@pytest.mark.parametrize("option", ["oberon.skip", "OBERON_SKIP=1", "oberon.skip=true"])
def test_a_push_option_silences_every_service(option):
    assert concerns(service(), composed([ref()], [commit()], [option])) == (None, "skipped: the push option oberon.skip")


@pytest.mark.parametrize("option", ["oberon.skip=no", "OBERON_SKIP=0", "oberon.skipped", "ci.skip"])
def test_other_push_options_silence_nobody(option):
    assert concerns(service(), composed([ref()], [commit()], [option]))[1] == ""


@pytest.mark.parametrize(
    ("message", "settings", "reason"),
    [
        ("Typo [skip oberon]\n", {}, "skipped: the mark [skip oberon]"),
        ("Typo\n\n[OBERON Skip]\n", {}, "skipped: the mark [oberon skip]"),
        ("Typo [skip ci]\n", {"skipMarks": "[ci skip], [skip ci]"}, "skipped: the mark [skip ci]"),
        ("Typo [skip ci]\n", {}, ""),
        ("Typo [skip oberon]\n", {"skipMarks": "[skip ci]"}, ""),
        ("Typo [skip oberon]\n", {"skipMarks": ""}, ""),
        ("Typo: skip oberon\n", {}, ""),
    ],
)
def test_a_mark_in_the_newest_commit_keeps_the_push_back(message, settings, reason):
    payload = composed([ref(commits=NODES[:2])], [commit(NODES[0]), commit(NODES[1], message=message)])
    assert concerns(service(**settings), payload)[1] == reason


def test_a_mark_in_an_older_commit_does_not_count():
    payload = composed([ref(commits=NODES[:2])], [commit(NODES[0], message="[skip oberon]"), commit(NODES[1])])
    assert concerns(service(), payload) == (payload, "")


def test_a_mark_counts_for_each_ref_that_points_to_its_commit():
    marked = commit(NODES[1], message="[skip oberon]")
    refs = [
        ref(commits=NODES[:1]),
        ref("refs/heads/next", commits=NODES[1:2]),
        ref("refs/tags/light", "tag", "create", (), new=marked["raw_node"]),
        ref("refs/tags/v1", "tag", "create", (), new="d" * 40),
    ]
    assert kept({}, composed(refs, [commit(NODES[0]), marked])) == (["refs/heads/main", "refs/tags/v1"], NODES[:1])


def test_an_annotated_tag_that_brings_commits_has_the_mark_of_the_last():
    tag = ref("refs/tags/v1", "tag", "create", NODES[:1], new="d" * 40)
    assert kept({}, composed([tag], [commit(message="[skip oberon]")])) == "skipped: the mark [skip oberon]"


@pytest.mark.parametrize("marks", ["skip ci", "[skip ci", "[]", "[ ]", "[a] b"])
def test_marks_that_are_none_are_refused(marks):
    parsed = Configuration.parse([Entry("ci", "broker", "post", "f"), Entry("ci", "skipMarks", marks, "f")]).services[0]
    assert [problem.remedy for problem in parsed.problems] == ["write each in brackets, as [skip oberon] [skip ci]"]


def two_refs_at_one_commit(scm="git", kind="branch"):
    commits = [commit(NODES[0]), commit(NODES[1], parents=NODES[:1])]
    name = "refs/heads/staging" if kind == "branch" else "refs/tags/v1"
    second = ref(name, kind, "update", (), new=commits[-1]["raw_node"])
    return {**composed([ref(commits=NODES[:2]), second], commits), "repository": {"scm": scm}}


@pytest.mark.parametrize("settings", [{"refs": "staging"}, {"refs": "staging", "events": "push"}])
def test_what_a_ref_brings_too_is_its_own_when_the_ref_that_counted_it_is_left_out(settings):
    payload = two_refs_at_one_commit()
    narrowed, _ = concerns(service(**settings), payload)
    assert narrowed is not None
    assert [(one["ref"], one["commits"]) for one in narrowed["oberon"]["refs"]] == [("refs/heads/staging", NODES[:2])]
    assert [(one["node"], one["branch"]) for one in narrowed["commits"]] == [(node, "staging") for node in NODES[:2]]
    assert narrowed["oberon"]["filtered"] == {"commits": 0, "refs": 1, "by": ["refs filter"]}
    assert [one["branch"] for one in payload["commits"]] == ["main", "main"]


def test_of_a_tag_the_branch_is_none():
    narrowed, _ = concerns(service(refs="v1"), two_refs_at_one_commit(kind="tag"))
    assert narrowed is not None
    assert [(one["node"], one["branch"]) for one in narrowed["commits"]] == [(node, None) for node in NODES[:2]]


def test_a_ref_that_brings_only_what_another_one_counts_is_judged_by_it():
    assert kept({"paths": "docs/"}, two_refs_at_one_commit()) == "skipped: paths filter"
    assert kept({"paths": "src/"}, two_refs_at_one_commit()) == (["refs/heads/main", "refs/heads/staging"], NODES[:2])


def test_a_mark_on_one_branch_leaves_what_is_below_another_one():
    marked = commit(NODES[0], message="[skip oberon]")
    refs = [ref(commits=NODES[:1]), ref("refs/heads/next", commits=NODES[1:2])]
    assert kept({}, composed(refs, [marked, commit(NODES[1], parents=NODES[:1])])) == (["refs/heads/next"], NODES[:2])


def test_a_branch_of_mercurial_has_its_own_changesets_alone():
    payload = two_refs_at_one_commit("hg")
    assert kept({"refs": "staging"}, payload) == (["refs/heads/staging"], [])


# ------------------------------------------------------------------------------------------------------- whatever is pushed

files = st.lists(st.sampled_from(["src/a.py", "src/b.py", "docs/x", "README"]), max_size=3)
authors = st.sampled_from(["Ada <ada@example.org>", "Grace <g@example.net>"])
texts = st.sampled_from(["Work", "Work [skip oberon]", "[SKIP CI] Work"])
filters = st.fixed_dictionaries(
    {},
    optional={
        "refs": st.sampled_from(["main", "!refs/tags/", "refs/heads/", "n*"]),
        "events": st.sampled_from(["push", "create", "!delete", "branch"]),
        "paths": st.sampled_from(["src/", "!docs/", "src/ !*.py", "README"]),
        "authors": st.sampled_from(["Ada*", "!*@example.org*"]),
        "skipMarks": st.sampled_from(["", "[skip ci]", "[skip oberon] [skip ci]"]),
    },
)
names = ["refs/heads/main", "refs/heads/next", "refs/tags/v1", "refs/heads/old"]
counts = st.lists(st.integers(0, 2), min_size=1, max_size=3)


@st.composite
def pushes(draw):
    """A payload of some refs, each with commits of its own, of none of which anything was cut."""
    nodes = iter(NODES)
    refs, commits = [], []
    for name, count in zip(names, draw(counts), strict=False):
        own = [commit(next(nodes), draw(authors), draw(files), draw(texts)) for _ in range(count)]
        kind, action = ("tag", "create") if "tags" in name else ("branch", draw(st.sampled_from(["create", "update"])))
        refs.append(ref(name, kind, action, [one["node"] for one in own]))
        commits += own
    return composed(refs, commits)


@given(pushes(), filters)
def test_each_ref_fares_as_if_it_had_been_pushed_alone(payload, settings):
    alone = [
        kept(settings, composed([one], [each for each in payload["commits"] if each["node"] in one["commits"]]))
        for one in payload["oberon"]["refs"]
    ]
    remaining = [result for result in alone if not isinstance(result, str)]
    together = kept(settings, payload)
    if remaining:
        assert together == ([name for refs, _ in remaining for name in refs], [node for _, nodes in remaining for node in nodes])
    else:
        assert isinstance(together, str)
        assert together.startswith("skipped: ")


@given(pushes(), filters)
def test_what_is_left_is_whole_and_what_is_left_out_is_counted(payload, settings):
    narrowed, _ = concerns(service(**settings), payload)
    if narrowed is None:
        return
    own = narrowed["oberon"]
    assert [node for one in own["refs"] for node in one["commits"]] == [one["node"] for one in narrowed["commits"]]
    assert list(own["commits"]) == [one["raw_node"] for one in narrowed["commits"]]
    assert own["total_commits"] == len(narrowed["commits"])
    left_out = own.get("filtered", {"commits": 0, "refs": 0})
    assert len(narrowed["commits"]) + left_out["commits"] == len(payload["commits"])
    assert len(own["refs"]) + left_out["refs"] == len(payload["oberon"]["refs"])
    assert ("filtered" in own) == (narrowed != payload) == bool(told(narrowed))
    again = {**settings, "skipMarks": ""}  # the commit that had no mark may be left out by now
    assert kept(again, narrowed) == kept(settings, payload)
