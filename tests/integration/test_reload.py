"""A broker's file is edited while a worker delivers: who began ends with the old code, who begins has the new, nobody is lost."""

import json
import signal
import subprocess
import time
from collections import Counter

import pytest

from brokers.delivery import spool, statedir, wake
from payload.push import Event, RefUpdate
from tests.support.hooked import SCRIPTS, broker_folder, git_settings, link_hook
from tests.support.waiting import until

EVENTS, SERVICES = 10, 20

RELAY = """
import json
import os
import time
from brokers import BaseBroker, Field
from brokers.transport import http

CODE = {code!r}


def say(payload, moment, code):
    told = {{"event": payload["oberon"]["event"], "service": payload["service"]["me"], "moment": moment, "code": code, "at": time.time()}}
    http.check(http.post(payload["service"]["url"], data=json.dumps(told).encode()))


class Ending:
    def __init__(self):
        self.code = CODE

    def __call__(self, payload):
        say(payload, "end", self.code)


class Relay(BaseBroker):
    fields = [Field("URL", type="url", required=True), Field("Me"), Field("Hold", type="path")]

    def handle(self, payload):
        say(payload, "begin", {code!r})
        time.sleep(0.15)
        while payload["service"].get("hold") and not os.path.exists(payload["service"]["hold"]):
            time.sleep(0.02)
        ending = self.get_local("ending", Ending)
        assert type(ending) is Ending and CODE == {code!r}
        ending(payload)
        return CODE
"""


@pytest.fixture
def server(git_server, state_dir, tmp_path):
    server = git_server("team/app.git")
    folder = broker_folder(tmp_path, RELAY.format(code="one"))
    git_settings(server, state_dir, brokerPath=str(folder))
    return server


def brokers_of_worker(run, state_dir):
    told = json.loads(run([SCRIPTS / "oberon", "brokers", "--json", "--state-dir", state_dir], check=False).stdout)["worker"]
    return [(each["name"], each["place"], each["replaced_at"] is None, each["running"]) for each in told["versions"]]


def fill(server, state_dir, url, hold):
    """Services s0, s1, ... and `held`, which waits for the file `hold`; so many events in the spool, of one push."""
    sections = [(f"s{number}", "") for number in range(SERVICES)] + [("held", f"hold = {hold}\n")]
    with (server.path / "config").open("a") as config:
        for name, more in sections:
            config.write(f'[service "{name}"]\nbroker = relay\nurl = {url}\nme = {name}\n{more}')
    clone = server.clone()
    node = clone.commit({"file": "1"})
    clone.push()
    statedir.prepare(str(state_dir))
    for _ in range(EVENTS):
        refs = (RefUpdate("refs/heads/main", "0" * 40, node),)
        event = Event(spool.new_id(), "git", str(server.path), time.time(), "ann", "local", refs=refs, environment={})
        spool.write(str(state_dir), event.to_record())


def run_worker(state_dir):
    return subprocess.Popen(
        [SCRIPTS / "oberon", "run", "--state-dir", state_dir, "--threads", "24"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def log_of(worker):
    worker.send_signal(signal.SIGTERM)
    return worker.communicate(timeout=20)[0]


def write_in_two_steps(path, source):
    """As some editors do: the file is empty, then half of it is there, then all."""
    with path.open("w") as file:
        file.write(source[: len(source) // 2])
        file.flush()
        time.sleep(0.05)
        file.write(source[len(source) // 2 :])
    return time.time()


def test_an_edit_while_two_hundred_deliveries_run(server, state_dir, tmp_path, receiver, run):
    path = tmp_path / "brokers" / "own.py"
    hold = tmp_path / "let-go"
    fill(server, state_dir, receiver.url, hold)

    def said(moment):
        told = [json.loads(request.body) for request in receiver.requests]
        return [each for each in told if each["moment"] == moment]

    worker = run_worker(state_dir)
    until(lambda: any(each["service"] == "held" for each in said("begin")) and len(said("begin")) >= 30)
    edited_at = write_in_two_steps(path, RELAY.format(code="two"))
    until(lambda: len(said("end")) >= EVENTS * SERVICES)

    (new, old) = brokers_of_worker(run, state_dir)
    assert new == ("relay", str(path), True, None)
    assert old[:3] == ("relay", str(path), False)
    assert old[3] >= 1
    hold.touch()
    until(lambda: len(said("end")) == EVENTS * (SERVICES + 1))
    until(lambda: brokers_of_worker(run, state_dir)[1][3] == 0)
    told = run([SCRIPTS / "oberon", "brokers", "--path", path.parent, "--state-dir", state_dir]).stdout
    assert f"the worker of {state_dir} has loaded:" in told
    assert told.count(str(path)) == 3
    log = log_of(worker)

    begins, ends = said("begin"), said("end")
    code_of = {(each["event"], each["service"]): each["code"] for each in begins}
    assert len(code_of) == len(begins) == len(ends) == EVENTS * (SERVICES + 1)  # each once
    assert {(each["event"], each["service"]): each["code"] for each in ends} == code_of
    counted = Counter(code_of.values())
    assert min(counted["one"], counted["two"]) >= 30
    assert min(each["at"] for each in begins if each["code"] == "two") - edited_at < 2.0
    assert {each["code"] for each in begins if each["at"] < edited_at} == {"one"}
    assert {each["code"] for each in begins if each["at"] > edited_at + 2.0} <= {"two"}
    assert "error" not in log.lower(), log
    assert log.count("broker relay: version") == 2
    delivered = json.loads(run([SCRIPTS / "oberon", "status", "--json", "--state-dir", state_dir]).stdout)["deliveries"]
    assert delivered["delivered"] == sum(delivered.values()) == len(begins)


def test_a_file_that_no_longer_loads_is_told_by_the_worker_that_goes_on_with_the_old_one(
    server, state_dir, tmp_path, receiver, run
):
    path = tmp_path / "brokers" / "own.py"
    for key, value in {"broker": "relay", "url": receiver.url, "me": "only"}.items():
        server.config(f"service.only.{key}", value)
    link_hook(server)
    clone = server.clone()

    def push(number):
        clone.commit({"file": str(number)})
        clone.push()
        until(lambda: len(receiver.requests) == 2 * number)

    statedir.prepare(str(state_dir))
    worker = run_worker(state_dir)
    until((state_dir / wake.SOCKET).exists)
    push(1)
    path.write_text("import nothing_such\n")
    time.sleep(1.3)
    push(2)
    assert [json.loads(request.body)["code"] for request in receiver.requests] == ["one"] * 4

    def told():
        return run([SCRIPTS / "oberon", "brokers", "--state-dir", state_dir], check=False)

    until(lambda: "for the worker" in told().stdout)
    ran = told()
    assert ran.returncode == 1
    assert f"error: for the worker: {path}: line 1: ModuleNotFoundError: No module named 'nothing_such'" in ran.stdout
    assert "in service since" in ran.stdout
    log = log_of(worker)
    assert f"ERROR {path}: line 1: ModuleNotFoundError: No module named 'nothing_such'; in service stays relay version" in log
    assert told().returncode == 0  # nobody says anything of it any more
