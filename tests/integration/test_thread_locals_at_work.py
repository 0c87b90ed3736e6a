"""A session for each thread: sixteen threads, one broker, a server that sets cookies."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from brokers import loader
from brokers.config import Configuration, Entry
from brokers.delivery.attempt import attempt
from brokers.delivery.outcome import Verdict
from brokers.delivery.pool import Pool
from brokers.testing.receiver import HOST
from payload.build import compose, copied
from tests.support.hooked import broker_folder
from tests.support.sample_pushes import SAMPLES
from tests.support.waiting import until

THREADS = 16
DELIVERIES = 320

SESSION = """
import threading
import requests
from brokers import BaseBroker

opened = []


def session():
    made = requests.Session()
    made.auth = (f"user-{threading.get_ident()}", "password")
    made.trust_env = False
    opened.append(made)
    return made


class Visits(BaseBroker):
    sessions = opened

    def handle(self, payload):
        session_ = self.get_local("session", session)
        headers = {"X-Thread": str(threading.get_ident())}
        session_.post(payload["service"]["url"], data=b"x", headers=headers).raise_for_status()
"""

OPENER = """
import base64
import threading
import urllib.request
from http.cookiejar import CookieJar
from brokers import BaseBroker

opened = []


def opener():
    made = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar()))
    login = base64.b64encode(f"user-{threading.get_ident()}:password".encode()).decode()
    made.addheaders = [("Authorization", f"Basic {login}"), ("X-Thread", str(threading.get_ident()))]
    opened.append(made)
    return made


class Visits(BaseBroker):
    sessions = opened

    def handle(self, payload):
        with self.get_local("opener", opener).open(payload["service"]["url"], b"x") as answer:
            answer.read()
"""


class CookieServer(ThreadingHTTPServer):
    """Gives each visitor a cookie that names the thread it came from, and notes what came: (thread, cookie, login)."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        self.visits = []
        super().__init__((HOST, 0), Visit)


class Visit(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.visits.append((self.headers["X-Thread"], self.headers["Cookie"], self.headers["Authorization"]))
        time.sleep(0.002)
        self.send_response(200)
        self.send_header("Set-Cookie", f"thread={self.headers['X-Thread']}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with CookieServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("source", [SESSION, OPENER], ids=["requests", "urllib"])
def test_sixteen_threads_have_sixteen_sessions_and_no_cookie_or_login_goes_astray(tmp_path, server, source):
    folder = broker_folder(tmp_path, source)
    entries = {"broker": "visits", "url": f"http://{HOST}:{server.server_port}/"}
    configuration = Configuration.parse(
        [
            Entry(None, "brokerPath", str(folder), ""),
            *(Entry("ci", key, value, "") for key, value in entries.items()),
        ]
    )
    composed = compose(SAMPLES["git-push"].push)
    together = threading.Barrier(THREADS)

    def deliver(job):
        if job.key < THREADS:
            together.wait(10)  # so that each thread has one of the first
        return attempt(configuration.services[0], configuration, copied(composed), lambda raw: raw)

    pool = Pool(THREADS)
    jobs, ended, submitted = [], [], 0
    while len(ended) < DELIVERIES:
        while pool.free and submitted < DELIVERIES:
            jobs.append(pool.submit(submitted, deliver, 20.0))
            submitted += 1
        ended += pool.collect()
        time.sleep(0.001)
    assert {(job.error, job.result and job.result.verdict) for job in ended} == {(None, Verdict.DELIVERED)}
    broker = loader.broker_class("visits", [str(folder)])
    threads = {thread for thread, _, _ in server.visits}
    assert (len(server.visits), len(threads), len(broker.sessions)) == (DELIVERIES, THREADS, THREADS)
    assert {(cookie or f"thread={thread}") == f"thread={thread}" for thread, cookie, _ in server.visits} == {True}
    assert sum(cookie is None for _, cookie, _ in server.visits) == THREADS
    logins = {(thread, login) for thread, _, login in server.visits}
    assert len(logins) == len({login for _, login in logins}) == THREADS
    pool.close()
    until(lambda: not any(thread.name == "oberon-pool" for thread in threading.enumerate()))
