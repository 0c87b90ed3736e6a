"""What changes around a worker that stays: names, certificates, the clock. It is heeded without a restart."""

import shutil
import ssl
import subprocess
import threading
import time

import pytest
import trustme

from brokers.cli.sources import by_scm
from brokers.delivery import record, scheduler, wake
from brokers.delivery.outbox import Outbox
from brokers.delivery.scheduler import Limits
from brokers.delivery.worker import Worker
from brokers.secrets import resolver
from brokers.testing import Receiver
from tests.support.command import environment
from tests.support.hooked import SCRIPTS, git_settings, link_hook
from tests.support.waiting import until

NAME = "ci.example.org"
NO_NAMESPACE = "this user may not have a hosts file of their own (unshare(1))"
OFTEN = ", ".join(["0.2s"] * 60)


@pytest.fixture
def clone(git_server, state_dir):
    """Of a repository whose pushes are recorded; for which service is to be configured. `server` is where it pushes to."""
    server = git_server("team/app.git")
    link_hook(server)
    git_settings(server, state_dir, retry=OFTEN)
    clone = server.clone()
    clone.server = server
    return clone


def service(clone, url, **settings):
    for key, value in {"broker": "post", "url": url, **settings}.items():
        clone.server.config(f"service.ci.{key}", value)


def push(clone):
    clone.commit({"file": str(time.monotonic_ns())})
    clone.push()


def last(state_dir):
    """State, attempts and reason of the last delivery."""
    with Outbox.open(str(state_dir), time.time) as outbox:
        found = next(iter(record.deliveries(outbox)), None)
        return ("", 0, "") if found is None else (found.state, found.attempts, found.reason)


@pytest.fixture
def hosts(tmp_path):
    """A file that a process of `in_namespace` has as its /etc/hosts."""
    path = tmp_path / "hosts"
    path.write_text("")
    probe = subprocess.run(in_namespace(path, "true"), capture_output=True, check=False) if shutil.which("unshare") else None
    if probe is None or probe.returncode:
        pytest.skip(NO_NAMESPACE)
    return path


def in_namespace(hosts, *argv):
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts, *argv]


@pytest.fixture
def daemon(state_dir):
    """daemon(*before): `oberon run`, listening, started by way of `before`; ended after the test."""
    started = []

    def start(*before):
        null = subprocess.DEVNULL
        argv = [*before, SCRIPTS / "oberon", "run", "--state-dir", state_dir]
        started.append(subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, env=environment({})))
        until((state_dir / wake.SOCKET).exists)

    yield start
    for process in started:
        assert process.poll() is None, "it is to stay"
        process.kill()
        process.wait()


def test_a_name_that_moves_is_followed(clone, state_dir, hosts, daemon, receiver):
    hosts.write_text(f"127.0.0.2 {NAME}\n")
    service(clone, f"http://{NAME}:{receiver.port}/hook", allowHosts="loopback")
    daemon(*in_namespace(hosts))
    push(clone)
    until(lambda: "connection refused" in last(state_dir)[2])
    hosts.write_text(f"127.0.0.1 {NAME}\n")
    assert receiver.wait(1, 20)[0].headers["Host"] == f"{NAME}:{receiver.port}"
    assert not receiver.requests[1:]


def certified(bundle):
    """A server's context, with a certificate of an authority that is new; `bundle` vouches for it, once written by the result."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context, lambda: authority.cert_pem.write_to_path(str(bundle))


def test_a_bundle_that_is_replaced_counts_from_the_next_delivery_on(clone, state_dir, daemon, tmp_path):
    bundle = tmp_path / "ca.pem"
    old, trust_old = certified(bundle)
    new, trust_new = certified(bundle)
    trust_old()
    clone.server.config("oberon.caBundle", str(bundle))
    with Receiver(tls=old) as receiver:
        service(clone, receiver.url)
        daemon()
        push(clone)
        receiver.wait(1, 20)
    with Receiver(receiver.port, tls=new) as renewed:
        push(clone)
        until(lambda: "is not accepted" in last(state_dir)[2])
        assert not renewed.requests
        trust_new()
        renewed.wait(1, 20)
        until(lambda: last(state_dir)[0] == "delivered")


class SuspendableClock:
    """The wall clock, which goes on while the machine is suspended; the monotonic one does not (clock_gettime(2))."""

    ahead_s = 0.0

    def __call__(self):
        return time.time() + self.ahead_s


@pytest.fixture
def clock(state_dir, monkeypatch):
    """That of a worker of this process, which looks round often, until the test ends."""
    monkeypatch.setattr(scheduler, "SCAN_S", 0.1)
    clock = SuspendableClock()
    worker = Worker(str(state_dir), by_scm(), resolver({}), Limits(), clock=clock)
    thread = threading.Thread(target=worker.run)
    thread.start()
    until((state_dir / wake.SOCKET).exists)
    yield clock
    worker.stop()
    thread.join(20)
    assert not thread.is_alive()


def test_what_became_due_while_the_machine_was_suspended_goes_out(clone, state_dir, clock, receiver):
    receiver.answer(500)
    service(clone, receiver.url, retry="3h")
    push(clone)
    until(lambda: last(state_dir)[:2] == ("waiting", 1))
    clock.ahead_s = 4 * 3600.0
    assert len(receiver.wait(2, 20)) == 2
    until(lambda: last(state_dir)[0] == "delivered")


@pytest.mark.parametrize("by_s", [8 * 3600.0, -8 * 3600.0])
def test_what_is_under_way_when_the_clock_jumps_is_not_begun_again(clone, state_dir, clock, receiver, by_s):
    receiver.answer(delay_s=0.7, times=None)
    service(clone, receiver.url)
    push(clone)
    receiver.wait(1, 20)
    clock.ahead_s = by_s
    until(lambda: last(state_dir)[0] == "delivered")
    assert (len(receiver.requests), last(state_dir)[1]) == (1, 1)
