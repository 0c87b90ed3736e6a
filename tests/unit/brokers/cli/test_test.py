from __future__ import annotations

import json
import time
from importlib import resources

import jsonschema
import pytest

from payload import samples


@pytest.fixture
def posting(git_repo, receiver):
    git_repo.server.config("service.ci.broker", "post")
    git_repo.server.config("service.ci.url", receiver.url + "hook")
    return git_repo


def test_a_sample_where_nothing_was_pushed(posting, receiver, oberon):
    ran = oberon("test", posting.path, "ci")
    assert ran.code == 0
    [request] = receiver.requests
    assert request.payload()["commits"][0]["raw_node"] == samples.load("git-push")["commits"][0]["raw_node"]
    assert "the sample git-push to ci (post)" in ran.out
    assert "POST /hook HTTP/1.1" in ran.out
    assert "delivered in " in ran.out


def test_the_last_push(posting, receiver, oberon):
    posting.record()
    posting.drain()
    receiver.clear()
    told = oberon("test", posting.path, "ci", "--last", "--json").json()
    [request] = receiver.requests
    assert request.payload()["commits"][0]["raw_node"] == posting.server.node("main")
    assert (told["payload"], told["made"]) == ("the last push", "read again with today's settings")
    assert (told["outcome"], told["note"]) == ("delivered", "200 OK")
    assert told["exchanges"][0]["status"] == 200
    # Nothing of it is in the record.
    assert len(oberon("deliveries", "--json", "--state-dir", posting.state_dir).json()["deliveries"]) == 2


def test_the_last_push_of_none(posting, oberon):
    ran = oberon("test", posting.path, "ci", "--last")
    assert ran.code == 2
    assert "no push" in ran.err


@pytest.mark.parametrize("name", samples.names())
def test_every_sample(posting, receiver, oberon, name):
    assert oberon("test", posting.path, "ci", "--sample", name).code == 0
    assert len(receiver.requests) == 1


def test_an_unknown_sample(posting, oberon):
    ran = oberon("test", posting.path, "ci", "--sample", "nosuch")
    assert ran.code == 2
    assert "git-push" in ran.err


def test_a_dry_run_sends_nothing(posting, receiver, oberon):
    ran = oberon("test", posting.path, "ci", "--dry-run")
    assert ran.code == 0
    assert "POST /hook HTTP/1.1" in ran.out
    assert "nothing was sent" in ran.out
    assert "answer" not in ran.out
    told = oberon("test", posting.path, "ci", "--dry-run", "--json").json()
    assert (told["outcome"], told["note"], told["dry_run"]) == (None, "", True)
    assert told["exchanges"][0]["request"].startswith("POST /hook HTTP/1.1")
    assert (told["exchanges"][0]["status"], told["exchanges"][0]["response"]) == (None, "")
    assert receiver.requests == []


def test_a_dry_run_that_fails(git_repo, broker_file, oberon):
    broker_file("no", "class No(BaseBroker):\n    def handle(self, payload):\n        raise PermanentFailure('not so')\n")
    git_repo.server.config("service.good.broker", "no")
    ran = oberon("test", git_repo.path, "good", "--dry-run", "--json")
    assert ran.code == 1
    assert (ran.json()["outcome"], ran.json()["reason"]) == ("dead", "not so")


def test_a_failure(posting, receiver, oberon):
    receiver.answer(500, body=b"on fire \x1b[31m")
    ran = oberon("test", posting.path, "ci")
    assert ran.code == 1
    assert "error: failed after " in ran.out
    assert "500" in ran.out
    assert "on fire \\x1b[31m" in ran.out


def test_a_broker_that_hangs(git_repo, broker_file, oberon):
    broker_file("sleeper", "import time\nclass Sleeper(BaseBroker):\n    def handle(self, payload):\n        time.sleep(30)\n")
    git_repo.server.config("service.good.broker", "sleeper")
    git_repo.server.config("service.good.timeout", "0.2s")
    started = time.monotonic()
    ran = oberon("test", git_repo.path, "good")
    assert ran.code == 1
    assert "timed out" in ran.out
    assert time.monotonic() - started < 5


def test_what_a_broker_prints_and_raises_is_shown(git_repo, broker_file, oberon):
    broker_file(
        "loud", "class Loud(BaseBroker):\n    def handle(self, payload):\n        print('hello')\n        raise SystemExit(3)\n"
    )
    git_repo.server.config("service.good.broker", "loud")
    ran = oberon("test", git_repo.path, "good")
    assert ran.code == 1
    assert "  printed:\n    hello\n" in ran.out
    assert "SystemExit" in ran.out


def test_a_disabled_service_and_a_filter(posting, receiver, oberon):
    posting.record()
    posting.server.config("service.ci.enabled", "false")
    posting.server.config("service.ci.refs", "refs/heads/other")
    posting.drain()
    ran = oberon("test", posting.path, "ci")
    assert ran.code == 0
    assert "in earnest it would be skipped: refs filter" in ran.out
    assert len(receiver.requests) == 1


def test_a_wrong_setting(posting, oberon):
    posting.server.config("service.ci.url", "ftp://example.org")
    ran = oberon("test", posting.path, "ci")
    assert ran.code == 2
    assert "service.ci.url" in ran.err
    assert "there are: good, ci" in oberon("test", posting.path, "sea").err


def test_mercurial(hg_server, receiver, oberon_apart, state_dir):
    server = hg_server()
    server.hgrc(f"[oberon]\nstatedir = {state_dir}\n[services]\nci.broker = post\nci.url = {receiver.url}\n")
    assert oberon_apart("test", server.path, "ci").code == 0
    assert receiver.requests[0].payload()["repository"]["scm"] == "hg"


DIFFER = """
import json
class Differ(BaseBroker):
    needs = {"diff"}
    def handle(self, payload):
        print(json.dumps(payload))
"""


@pytest.fixture
def patches(git_repo, broker_file):
    """A repository whose last push was recorded before a service with a broker that needs patches was named."""
    git_repo.record()
    git_repo.drain()
    broker_file("differ", DIFFER)
    git_repo.server.config("service.mail.broker", "differ")
    return git_repo


def test_the_last_push_is_read_again_with_what_the_broker_needs_and_the_settings_of_today(patches, oberon):
    patches.server.config("oberon.name", "Renamed since")
    patches.server.config("service.mail.enabled", "false")
    node = patches.server.node("main")
    ran = oberon("test", patches.path, "mail", "--json")
    assert (ran.code, ran.err) == (0, "")
    sent = json.loads(ran.json()["printed"])
    assert sent["oberon"]["commits"][node]["diff"] == patches.server.git("show", "--format=", node) + "\n"
    assert sent["repository"]["name"] == "Renamed since"
    assert sent["oberon"]["sequence"] == 1
    assert "the last push, read again with today's settings, to mail (differ)" in oberon("test", patches.path, "mail").out


def test_a_last_push_that_cannot_be_read_again_is_sent_as_it_was_recorded(patches, oberon):
    node = patches.server.node("main")
    (patches.server.path / "objects" / node[:2] / node[2:]).unlink()
    ran = oberon("test", patches.path, "mail", "--json")
    assert ran.code == 0
    assert ran.err.startswith("warning: the last push cannot be read again, so this is its payload as it was recorded; it lacks")
    assert ran.err.count("\n") == 1
    assert (ran.json()["payload"], ran.json()["made"]) == ("the last push", "as it was recorded")
    assert json.loads(ran.json()["printed"])["commits"][0]["raw_node"] == node


def test_a_sample_has_made_up_patches_for_a_broker_that_needs_them(patches, oberon, tmp_path, run):
    schema = json.loads(resources.files("payload").joinpath("payload.schema.json").read_text("utf-8"))
    for name in samples.names():
        told = oberon("test", patches.path, "mail", "--sample", name, "--json").json()
        sent = json.loads(told["printed"])
        if not sent.get("oberon", {}).get("commits"):
            assert told["made"] is None
            continue
        assert told["made"] == "with made-up diffs"
        jsonschema.validate(sent, schema)
        for details in sent["oberon"]["commits"].values():
            if not details["files"]:  # a merge, or a changeset that begins a branch
                assert details["diff"] == ""
                continue
            # git reads them, and finds the files in them that the sample names.
            (tmp_path / "sample.patch").write_text(details["diff"])
            found = run(["git", "apply", "--numstat", "-z", tmp_path / "sample.patch"]).stdout
            assert [line.split("\t")[2] for line in found.split("\0")[:-1]] == [file["file"] for file in details["files"]]


def test_a_dry_run_of_an_own_broker_says_that_its_code_was_run(git_repo, oberon):
    ran = oberon("test", git_repo.path, "good", "--dry-run")
    assert ran.code == 0
    assert "seen kettle" in ran.out
    assert "nothing was sent" not in ran.out
    told = "the broker's own code was run; only what goes through Oberon's transport was held back"
    assert ran.out.splitlines()[-1] == told


def test_wrong_settings_are_told_beside_a_test(posting, oberon):
    posting.server.config("oberon.maxCommits", "many")
    ran = oberon("test", posting.path, "ci", "--dry-run")
    assert ran.code == 0
    assert ran.err.startswith("warning: oberon.maxCommits in ")
    posting.server.config("service.ci.url", "ftp://example.org")
    posting.server.config("service.ci.timeout", "soonish")
    ran = oberon("test", posting.path, "ci", "--dry-run")
    assert ran.code == 2
    assert [line.split(" in ")[0] for line in ran.err.splitlines()] == [
        "warning: oberon.maxCommits",
        "warning: service.ci.url",
        "error: service.ci.timeout",
    ]


OWN = """
import requests
class Own(BaseBroker):
    fields = [Field("URL", type="url", required=True, help="where"), Field("Token", secret=True, help="which")]
    def handle(self, payload):
        service = payload["service"]
        headers = {"X-Token": service["token"], "Authorization": "Bearer x" + service["token"]}
        requests.post(service["url"] + "?t=" + service["token"], data={"t": service["token"]}, headers=headers, timeout=5).close()
        return payload["commits"][0]["message"].strip()
"""


@pytest.fixture
def own_file(broker_file):
    return broker_file("own", OWN) / "own.py"


def test_a_file_that_is_not_installed(own_file, receiver, oberon, monkeypatch):
    monkeypatch.setenv("TOKEN", "a/b c+secret")
    ran = oberon("test", "--file", own_file, "--set", f"url={receiver.url}hook", "--set", "token=env:TOKEN")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(
        f"the sample git-push to own ({own_file})\n  beside Oberon's transport (http):\n    POST /hook?t=****"
    )
    assert "secret" not in ran.out
    assert ran.out.splitlines()[-1].endswith(
        ": Take the temperature of the tap, fixes #12\\x0a\\x0aUntil now every kettle began at 20 degrees."
    )
    assert receiver.requests[0].headers["X-Token"] == "a/b c+secret"


def test_a_file_as_json_with_another_sample(own_file, receiver, oberon):
    ran = oberon(
        "test", "--file", own_file, "--set", f"URL={receiver.url}", "--set", "token=s3cret", "--sample", "git-tag", "--json"
    )
    assert ran.code == 1
    told = ran.json()
    assert (told["service"], told["payload"], told["outcome"]) == ("own", "the sample git-tag", "retry")
    assert told["reason"] == "IndexError: list index out of range"
    assert [each["transport"] for each in told["beside_transport"]] == ["http"]
    assert "s3cret" not in ran.out


def test_a_file_that_posts_through_the_transport_in_a_dry_run(broker_file, receiver, oberon):
    body = "from brokers.transport import http\nclass Own(BaseBroker):\n    def handle(self, payload):\n"
    own = broker_file("own", body + "        http.check(http.post(payload['service']['url'], data=b'hello'))\n") / "own.py"
    ran = oberon("test", "--file", own, "--set", f"url={receiver.url}", "--dry-run")
    assert ran.code == 0
    assert "POST / HTTP/1.1" in ran.out
    assert "beside" not in ran.out
    assert receiver.requests == []


def test_a_file_with_the_last_push_of_a_repository(posting, own_file, receiver, oberon):
    settings = ["--file", own_file, "--set", f"url={receiver.url}", "--set", "token=s3cret"]
    ran = oberon("test", posting.path, *settings, "--last")
    assert ran.code == 2
    assert "no push to it is in the record" in ran.err
    posting.record()
    posting.drain()
    ran = oberon("test", posting.path, *settings, "--last")
    assert ran.code == 0
    assert ran.out.startswith("the last push, read again with today's settings, to own (")
    assert ran.out.splitlines()[-1].endswith(": first")


def test_one_of_several_brokers_of_a_file(broker_file, oberon):
    body = "class {}(BaseBroker):\n    def handle(self, payload):\n        return type(self).name\n"
    own = broker_file("own", body.format("One") + body.format("Two")) / "own.py"
    assert oberon("test", "--file", own, "--set", "broker=Two", "--json").json()["note"] == "two"
    ran = oberon("test", "--file", own)
    assert ran.code == 2
    assert "choose one with --set broker=NAME; there are: one, two" in ran.err
    assert "there is no broker 'three' in it" in oberon("test", "--file", own, "--set", "broker=three").err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "no service is named"),
        (["repo"], "no service is named"),
        (["repo", "ci", "--set", "url=http://example.org/"], "--set without --file"),
        (["repo", "ci", "--file", "own.py"], "a SERVICE and a --file"),
        (["--file", "own.py", "--last"], "no repository is named"),
    ],
)
def test_arguments_that_do_not_go_together(oberon, arguments, told):
    ran = oberon("test", *arguments)
    assert ran.code == 2
    assert told in ran.err


def test_wrong_settings_of_a_file(own_file, oberon):
    ran = oberon("test", "--file", own_file, "--set", "token=x")
    assert ran.code == 2
    assert f"service.own.URL in {own_file}: the broker own needs it" in ran.err
    assert "service.own.tokn in --set: there is no such setting; did you mean Token?" in (
        oberon("test", "--file", own_file, "--set", "url=http://127.0.0.1:1/", "--set", "tokn=x").err
    )


def test_a_file_that_does_not_load(tmp_path, oberon):
    (tmp_path / "own.py").write_text("import nosuch_module\n")
    ran = oberon("test", "--file", tmp_path / "own.py")
    assert ran.code == 1
    assert "own.py: " in ran.err
    assert "nosuch_module" in ran.err
