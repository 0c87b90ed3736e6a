"""oberon check-broker: the process it runs the broker in, and what it prints."""

import pytest

HEAD = "import os, requests\nfrom brokers import BaseBroker, Field\n"


@pytest.fixture
def file(tmp_path):
    def write(body, *, head=HEAD):
        path = tmp_path / "own.py"
        path.write_text(head + body)
        path.chmod(0o644)
        return path

    return write


def verdicts(ran):
    return {check["check"]: check["verdict"] for check in ran.json()["checks"]}


def test_a_line_for_each_check(file, oberon):
    ran = oberon(
        "check-broker", file("class Own(BaseBroker):\n    fields = ()\n    def handle(self, payload): print('printed')\n")
    )
    assert ran.code == 0
    assert [line.split(":")[0].split() for line in ran.out.splitlines()] == [
        ["PASS", "loads"],
        ["PASS", "fields"],
        ["PASS", "payloads"],
        ["skipped", "secrets"],
        ["PASS", "deadline"],
        ["PASS", "threads"],
    ]
    assert "printed" not in ran.out + ran.err


@pytest.mark.parametrize("ends", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_one_that_ends_its_process_does_not_pass(file, oberon, ends):
    ran = oberon(
        "check-broker", file(f"class Own(BaseBroker):\n    fields = ()\n    def handle(self, payload): {ends}\n"), "--json"
    )
    assert ran.code == 1
    assert verdicts(ran) == {"loads": "PASS", "fields": "PASS", "payloads": "FAIL"}
    last = ran.json()["checks"][-1]
    assert last["told"].startswith("the broker ended the process it ran in")
    assert last["broker"] == "own"
    assert last["remedy"]


def test_one_that_does_not_load(file, oberon):
    ran = oberon("check-broker", file("class Own(BaseBroker):\n    pass\n"), "--json")
    assert ran.code == 1
    assert verdicts(ran) == {
        "loads": "FAIL",
        **dict.fromkeys(("fields", "payloads", "secrets", "deadline", "threads"), "skipped"),
    }
    assert "has no method handle(self, payload)" in ran.json()["checks"][0]["told"]
    assert "cannot be read" in oberon("check-broker", "/nowhere/own.py").out


def test_nothing_reaches_another_machine(file, oberon):
    # 192.0.2.0/24 is nobody's (RFC 5737).
    body = (
        "class Own(BaseBroker):\n    fields = ()\n    def handle(self, payload): requests.get('http://192.0.2.7/', timeout=1)\n"
    )
    ran = oberon("check-broker", file(body), "--json")
    assert ran.code == 0
    assert verdicts(ran)["payloads"] == verdicts(ran)["threads"] == "skipped"
    told = {check["check"]: check["told"] for check in ran.json()["checks"]}["payloads"]
    assert told == "it goes to 192.0.2.7:80, and nothing is sent to other machines here"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["--set", "nosuch=1"], "service.own.nosuch in --set: there is no such setting"),
        (["--set", "url=ftp://example.org"], "service.own.url in --set"),
        (["--set", "url"], "write KEY=VALUE"),
        (["--set", "url=https://example.org/", "--set", "timeout=soonish"], "service.own.timeout in --set"),
    ],
)
def test_a_wrong_setting_is_the_caller_s(file, oberon, settings, told):
    body = "class Own(BaseBroker):\n    fields = [Field('URL', type='url', help='x')]\n    def handle(self, payload): pass\n"
    ran = oberon("check-broker", file(body), *settings)
    assert ran.code == 2
    assert told in ran.err


def test_files_without_a_place_are_left_nowhere(file, oberon, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    path = file("class Own(BaseBroker):\n    fields = ()\n    def handle(self, payload): open('left', 'a').close()\n")
    assert verdicts(oberon("check-broker", path.name, "--json"))["payloads"] == "PASS"
    assert set(tmp_path.rglob("*")) - before == {path}


def test_a_file_that_others_may_write_is_checked_with_a_warning(file, oberon):
    path = file("class Own(BaseBroker):\n    pass\n")
    path.chmod(0o664)
    assert "in oberon.brokerPath it would be refused" in oberon("check-broker", path).err


def test_a_mail_broker_with_a_server_of_one_s_own(mailbox, oberon):
    from brokers.services import email

    ran = oberon("check-broker", email.__file__, "--set", f"host={mailbox.host}", "--set", f"port={mailbox.port}", "--json")
    assert verdicts(ran) == {
        "loads": "PASS",
        "fields": "PASS",
        "payloads": "PASS",
        "secrets": "PASS",
        "deadline": "skipped",
        "threads": "PASS",
    }
    assert len(mailbox.messages) > 40
