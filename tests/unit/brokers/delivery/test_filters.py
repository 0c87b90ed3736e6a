import pytest

from brokers.config import Configuration, Entry
from brokers.delivery.filters import concerns, matches


def ref(name="refs/heads/main", kind="branch", action="update", commits=("aaaaaaaaaaaa",)):
    return {"ref": name, "name": name.split("/")[-1], "kind": kind, "action": action, "commits": list(commits)}


def commit(node="aaaaaaaaaaaa", author="Ada <ada@example.org>", files=("src/a.py",)):
    return {
        "node": node,
        "raw_node": node + "0" * 28,
        "author": author.split(" ")[0],
        "raw_author": author,
        "files": [{"file": file, "type": "modified"} for file in files],
    }


def composed(refs, commits=(), options=()):
    return {
        "commits": list(commits),
        "oberon": {"refs": refs, "options": list(options), "commits": {one["raw_node"]: {} for one in commits}},
    }


def service(**settings):
    entries = [Entry("ci", "broker", "post", "f"), *(Entry("ci", key, value, "f") for key, value in settings.items())]
    return Configuration.parse(entries).services[0]


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


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"refs": "refs/tags/"}, "skipped: refs filter"),
        ({"refs": "!main"}, "skipped: refs filter"),
        ({"events": "create tag"}, "skipped: events filter"),
        ({"paths": "docs/"}, "skipped: paths filter"),
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
    payload, reason = concerns(service(**settings), composed([ref()], [commit()]))
    assert reason == ""
    assert payload is not None
    assert [one["node"] for one in payload["commits"]] == ["aaaaaaaaaaaa"]


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
    assert len(payload["commits"]) == 2


def test_a_push_without_commits_passes_a_path_filter():
    payload, reason = concerns(service(paths="docs/"), composed([ref(action="delete", commits=())]))
    assert (payload is not None, reason) == (True, "")


@pytest.mark.parametrize("option", ["oberon.skip", "OBERON_SKIP=1"])
def test_a_push_option_silences_every_service(option):
    assert concerns(service(), composed([ref()], [commit()], [option])) == (None, "skipped: the push option oberon.skip")
