"""The worker as a service: what it tells its manager, how it obeys signals, and how little it needs while there is nothing to do."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from brokers.cli.sources import by_scm
from brokers.delivery import spool, wake
from brokers.delivery.notify import Notifier
from brokers.delivery.outbox import Outbox
from brokers.delivery.worker import Worker
from brokers.secrets import resolver
from tests.support.command import environment
from tests.support.hg_hooked import no_worker
from tests.support.hooked import SCRIPTS, broker_folder, git_settings, hg_settings, link_hook
from tests.support.service_manager import ServiceManager
from tests.support.waiting import until

BROKERS = """
import ctypes
import time
from brokers import BaseBroker


def note(payload, word):
    with open(payload["service"]["file"], "a") as file:
        file.write(word + "\\n")


class Record(BaseBroker):
    def handle(self, payload):
        note(payload, "had")


class Slow(BaseBroker):
    def handle(self, payload):
        note(payload, "began")
        time.sleep(float(payload["service"]["for"]))
        note(payload, "ended")


class Gone(BaseBroker):
    def handle(self, payload):
        note(payload, "gone")
        ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "recorded"


@pytest.fixture
def server(git_server, state_dir, tmp_path, file):
    """One whose pushes are recorded; what they are for is to be configured. Its clone has one commit, not pushed."""
    server = git_server("team/app.git")
    link_hook(server)
    git_settings(server, state_dir, brokerPath=str(broker_folder(tmp_path, BROKERS)))
    server.pusher = server.clone()
    server.pusher.commit({"file": "1"})
    return server


def service(server, broker, file, name, **settings):
    for key, value in {"broker": broker, "file": str(file), **settings}.items():
        server.config(f"service.{name}.{key}", value)


def words(file):
    return file.read_text().split() if file.exists() else []


@contextmanager
def worker(state_dir, *options, program=(SCRIPTS / "oberon",), env=None, output=subprocess.PIPE):
    """`oberon run`, listening; killed at the end if it runs still. What it says is in `said` once it has ended."""
    argv = [*program, "run", "--state-dir", state_dir, *options]
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, text=True, env=environment(env or {})
    ) as process:
        try:
            until((state_dir / wake.SOCKET).exists)
            yield process
        finally:
            process.kill()


def deliveries(state_dir):
    """Service -> its delivery; one push."""
    with Outbox.open(str(state_dir), time.time) as outbox:
        rows = outbox.ask("list_deliveries", repository=None, service=None, state=None, failed=False, since=None, most=9)
        return {row["service"]: row for row in rows}


def attempts(state_dir, delivery):
    with Outbox.open(str(state_dir), time.time) as outbox:
        return len(outbox.ask("attempts_of", id=delivery["id"]))


# ------------------------------------------------------------------------------------------------------ the service manager


def test_the_manager_is_told_of_beginning_reloading_and_ending_and_that_it_goes_round(state_dir, tmp_path):
    watchdog_s = 4.0
    with ServiceManager(tmp_path) as manager, worker(state_dir, env=manager.environment(watchdog_s)) as process:
        assert manager.until("READY=1") == ["READY=1"]
        manager.until("WATCHDOG=1")
        fed_at = time.monotonic()
        assert "STATUS=0 deliveries wait, 0 jobs run" in manager.until("WATCHDOG=1")
        assert time.monotonic() - fed_at < watchdog_s, "sooner than the 5 s after which it looks round anyhow"
        process.send_signal(signal.SIGHUP)
        *_, reloading, _ = manager.until("READY=1")
        assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
        process.send_signal(signal.SIGTERM)
        manager.until("STOPPING=1")
        assert process.wait(20) == 0


def test_a_loop_that_is_stuck_feeds_no_watchdog(state_dir, monkeypatch):
    stuck, entered, free = threading.Event(), threading.Event(), threading.Event()
    real = spool.waiting

    def waiting(state_dir):
        if stuck.is_set():
            entered.set()
            free.wait(20)
        return real(state_dir)

    monkeypatch.setattr(spool, "waiting", waiting)
    with ServiceManager(None) as manager:
        notifier = Notifier(manager.environment(0.4))
        daemon = Worker(str(state_dir), by_scm(), resolver({}), notifier=notifier)
        thread = threading.Thread(target=daemon.run)
        thread.start()
        try:
            manager.until("WATCHDOG=1")
            manager.until("WATCHDOG=1")
            stuck.set()
            assert entered.wait(20)
            manager.told()
            assert manager.told(0.6) == []
            stuck.clear()
            free.set()
            manager.until("WATCHDOG=1")
        finally:
            free.set()
            daemon.stop()
            thread.join(20)


# ------------------------------------------------------------------------------------------------------------------ signals


QUICK_STOP = (
    sys.executable,
    "-c",
    "import sys\nfrom brokers.delivery import scheduler\nfrom brokers.cli.main import main\nscheduler.STOP_S = 1.5\nsys.exit(main())",
)


def test_sigterm_records_what_ends_soon_and_gives_back_the_rest_uncounted(server, state_dir, file):
    service(server, "slow", file, "soon", **{"for": "0.5"})
    service(server, "slow", file, "late", **{"for": "600"}, timeout="600s")
    with no_worker(state_dir):
        server.pusher.push()
    with worker(state_dir, program=QUICK_STOP) as process:
        until(lambda: words(file).count("began") == 2)
        process.send_signal(signal.SIGTERM)
        asked_at = time.monotonic()
        said, _ = process.communicate(timeout=20)
        assert process.returncode == 0, said
        assert time.monotonic() - asked_at < 1.5 + 5
    found = deliveries(state_dir)
    assert [(found[name]["state"], found[name]["attempts"]) for name in ("soon", "late")] == [("delivered", 1), ("waiting", 0)]
    assert [attempts(state_dir, found[name]) for name in ("soon", "late")] == [1, 0]
    assert found["late"]["next_at"] <= time.time(), "the next worker takes it at once"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(server, state_dir, file, number):
    service(server, "slow", file, "late", **{"for": "600"}, timeout="600s")
    with no_worker(state_dir):
        server.pusher.push()
    with ServiceManager(None) as manager, worker(state_dir, env=manager.environment()) as process:
        until(lambda: words(file) == ["began"])
        process.send_signal(number)
        manager.until("STOPPING=1")
        process.send_signal(number)
        assert process.wait(8) == -number, "it would let the attempt have 10 s"


def test_sighup_reads_limits_and_log_anew(server, state_dir, file, run):
    service(server, "record", file, "own")
    with worker(state_dir, output=subprocess.DEVNULL) as process:
        server.pusher.push()
        until(lambda: words(file) == ["had"])
        log = state_dir / "worker.log"
        until(log.exists)
        log.rename(state_dir / "worker.log.old")
        run(["git", "config", "--global", "oberon.workers", "3"])
        process.send_signal(signal.SIGHUP)
        until(lambda: log.exists() and "read anew: 3 deliveries at the same time" in log.read_text())
        assert "read anew" not in (state_dir / "worker.log.old").read_text()
        server.pusher.commit({"file": "2"})
        server.pusher.push()
        until(lambda: words(file) == ["had", "had"])
        assert process.poll() is None


def test_sighup_loads_a_broker_again_whose_file_is_as_it_was(server, state_dir, file, tmp_path):
    (tmp_path / "brokers" / "own.py").rename(tmp_path / "brokers" / "record.py").write_text("import lately\n" + BROKERS)
    (tmp_path / "lib").mkdir()
    service(server, "record", file, "own")
    with worker(state_dir, env={"PYTHONPATH": str(tmp_path / "lib")}) as process:
        server.pusher.push()
        until(lambda: "lately" in deliveries(state_dir).get("own", {"reason": ""})["reason"])
        (tmp_path / "lib" / "lately.py").write_text("")
        process.send_signal(signal.SIGHUP)
        until(lambda: words(file) == ["had"])


def test_at_a_terminal_sighup_says_that_the_terminal_is_gone(state_dir):
    ours, its = os.openpty()
    try:
        with worker(state_dir, output=its) as process:
            os.close(ours)
            process.send_signal(signal.SIGHUP)
            assert process.wait(20) == 0
    finally:
        os.close(its)


# ------------------------------------------------------------------------------------------------------- what may go wrong


def test_a_thread_that_is_gone_is_replaced_and_what_it_did_is_tried_again(server, state_dir, file):
    service(server, "gone", file, "a", timeout="0.3s")
    service(server, "record", file, "b")
    with no_worker(state_dir):
        server.pusher.push()
    with worker(state_dir, "--threads", "1") as process:
        until(lambda: words(file) == ["gone", "had"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    found = deliveries(state_dir)
    assert (found["a"]["state"], found["a"]["reason"]) == ("waiting", "timed out")
    assert found["b"]["state"] == "delivered"


def test_datagrams_without_end_cost_little_and_hold_up_nothing(server, state_dir, file):
    service(server, "record", file, "own")
    over = threading.Event()

    def flood():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(0.1)
            while not over.is_set():
                try:
                    channel.sendto(os.urandom(200), str(state_dir / wake.SOCKET))
                except TimeoutError:
                    continue

    with worker(state_dir) as process:
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            before_s, began = cpu_s(process.pid), time.monotonic()
            time.sleep(1.5)
            used = (cpu_s(process.pid) - before_s) / (time.monotonic() - began)
            server.pusher.push()
            until(lambda: words(file) == ["had"])
        finally:
            over.set()
            thread.join(10)
    assert used < 0.5


# --------------------------------------------------------------------------------------------------------------------- idle


def test_idle_it_needs_little(server, hg_server, state_dir, receiver):
    """With all that it takes to read repositories of both kinds, and to speak http."""
    server.config("service.ci.broker", "post")
    server.config("service.ci.url", receiver.url)
    from_git = server.pusher
    server = hg_server()
    hg_settings(server, state_dir)
    server.hgrc(f"[services]\nci.broker = post\nci.url = {receiver.url}\n")
    pusher = server.clone()
    pusher.commit({"a.txt": "one\n"})
    unmeasured = {name: None for name in os.environ if name.startswith("COVERAGE_")}  # coverage is not the worker's doing
    with worker(state_dir, output=subprocess.DEVNULL, env=unmeasured) as process:
        from_git.push()
        pusher.push()
        receiver.wait(2, 20)
        time.sleep(0.5)
        before_s = cpu_s(process.pid)
        time.sleep(2)
        used_s = cpu_s(process.pid) - before_s
        resident_kib = int(Path(f"/proc/{process.pid}/status").read_text().partition("VmRSS:")[2].split()[0])
    assert used_s < 0.1
    assert resident_kib < 60 * 1024


def cpu_s(number):
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
