"""Which connections serve a second request, and which must not."""

from __future__ import annotations

import itertools
import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.testing import Receiver
from brokers.transport import http, http_pool
from brokers.transport.http_pool import Route
from tests.unit.brokers.transport.conftest import drip, ending_by
from tests.unit.brokers.transport.test_http_hostile import reset, silent

OK = b"HTTP/1.1 200 OK\r\n"
BUFFER_BYTES = 8192  # of the reader, up to Python 3.13
ANSWER = OK + b"Content-Length: 2\r\n\r\nok"


@pytest.fixture
def service(raw_server):
    """service(said, context=None) -> its url; `asked`: the number of the connection of each request, from 0; `ended`: released
    for each connection that has ended. `said`: an answer, or called with a connection and the request's number on it; if that
    returns True, it is closed.
    """
    found = SimpleNamespace(asked=[], ended=threading.Semaphore(0))

    def serve(said: bytes | Callable[[socket.socket, int], bool | None] = ANSWER, context: ssl.SSLContext | None = None) -> str:
        numbers = itertools.count()

        def handle(connection: socket.socket) -> None:
            number = next(numbers)
            try:
                for request in itertools.count():
                    found.asked.append(number)
                    if callable(said):
                        if said(connection, request):
                            return
                    else:
                        connection.sendall(said)
                    if not connection.recv(65536):
                        return
            finally:
                found.ended.release()

        found.url = raw_server(handle, context)
        return str(found.url)

    found.serve = serve
    return found


# ------------------------------------------------------------------------------------------------------------ the answer


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "said",
    [
        ANSWER,
        OK + b"Connection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + ANSWER,
        OK + b"Content-Length: 8192\r\n\r\n" + b"x" * 8192,
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=lambda said: repr(said[:70]),
)
def test_after_a_whole_answer_the_connection_serves_again(service, calling, tls, said, secure):
    url = service.serve(said, tls.context if secure else None)
    call = calling(ca_bundle=str(tls.ca_bundle))
    first, second, third = (http.post(url, data=b"x") for _ in range(3))
    assert first == second == third
    assert service.asked == [0, 0, 0]
    assert len(call.exchanges) == 3


def cut(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(
    ("said", "then"),
    [
        (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", None),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", None),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", None),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", None),
        (OK + b"Content-Length: 8193\r\n\r\n" + b"x" * 8193, None),
        (OK + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000, None),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2001\r\n" + b"x" * 8193 + b"\r\n0\r\n\r\n", None),
        (ANSWER + b"HTTP/1.1 500 Oh\r\n\r\n", None),
        (b"HTTP/1.1 204 No Content\r\n\r\nok", None),
        (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", None),
        (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None),
        (OK + b"Transfer-Encoding: gzip\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok", None),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nTrailer: x\r\n\r\n", None),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", None),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP", None),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n", None),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\no", cut),
        (OK + b"Content-Length: 50\r\n\r\nhello", cut),
        (OK + b"\r\nhello", cut),
        (OK + b"X-Half: a hea", cut),
        (b"SSH-2.0-OpenSSH_9.2\r\n", None),
        (OK + b"Content-Length: 500\r\n\r\n", lambda connection: drip(connection, b"x", 20)),
    ],
    ids=lambda said: repr(said[:90]) if isinstance(said, bytes) else "",
)
def test_after_any_other_answer_it_is_closed(service, calling, said, then):
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(said)
        if then:
            then(connection)

    url = service.serve(answer)
    for expected in ([0], [0, 1]):
        calling(0.3)
        try:
            http.post(url, data=b"x")
        except DeliveryFailed:
            pass
        assert service.ended.acquire(timeout=3), "the client kept the connection"
        assert service.asked == expected


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_what_stands_behind_the_reader_s_buffer_is_seen_too(service, calling, tls, secure):
    """The answer ends with the buffer, and what follows it is in the same TLS record: decrypted, and not read."""
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n1f00\r\n" + b"x" * 0x1F00 + b"\r\n"
    end = b"\r\n0\r\n\r\n"
    said = head + b"%03x\r\n" % (filling := BUFFER_BYTES - len(head) - 5 - len(end)) + b"y" * filling + end
    assert len(said) == BUFFER_BYTES
    url = service.serve(said + ANSWER, tls.context if secure else None)
    calling(ca_bundle=str(tls.ca_bundle))
    for _ in range(2):
        assert len(http.post(url, data=b"x").body) == 0x1F00 + filling
    assert service.asked == [0, 1]


def test_what_a_request_brings_along_does_not_frame_it(receiver, calling):
    calling()
    given = {"connection": "close", "Transfer-Encoding": "chunked", "content-length": "7", "HOST": "other.example"}
    http.post(receiver.url, data=b"four", headers=given)
    [request] = receiver.requests
    assert request.body == b"four"
    assert [request.headers[name] for name in given] == [None, None, "4", f"127.0.0.1:{receiver.port}"]


# ------------------------------------------------------------------------------------------------------ the circumstances


@pytest.mark.parametrize("other", ["allow_hosts", "ca_bundle", "replaced", "proxy"])
def test_a_connection_serves_calls_in_the_same_circumstances_only(service, calling, tls, tmp_path, other):
    bundle = tmp_path / "ca.pem"
    shutil.copy(tls.ca_bundle, bundle)
    url = service.serve(context=None if other == "proxy" else tls.context)
    with Receiver() as proxy:
        circumstances = {"allow_hosts": ("loopback",), "ca_bundle": str(bundle), "proxy": None}
        changed = {"allow_hosts": ("127.0.0.0/8",), "ca_bundle": str(tls.ca_bundle), "proxy": proxy.url}
        calling(**circumstances)
        http.post(url, data=b"x")
        if other == "replaced":
            os.utime(bundle, (1, 1))
        calling(**{**circumstances, other: changed[other]} if other in changed else circumstances)
        http.post(url, data=b"x")
        assert service.asked == ([0] if other == "proxy" else [0, 1])
        assert len(proxy.requests) == (1 if other == "proxy" else 0)


def test_a_host_that_is_allowed_no_more_is_not_reached_over_a_kept_connection(service, calling):
    url = service.serve()
    calling(allow_hosts=("loopback",))
    http.post(url, data=b"x")
    calling(allow_hosts=("external",))
    with pytest.raises(PermanentFailure, match="not allowed"):
        http.post(url, data=b"x")
    assert service.asked == [0]


# --------------------------------------------------------------------------------------------- what the service does to it


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_what_came_unasked_is_not_taken_for_an_answer(service, calling, tls, secure):
    more, said = threading.Event(), threading.Event()

    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(ANSWER)
        more.wait(3)
        if not said.is_set():
            connection.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
            said.set()

    url = service.serve(answer, tls.context if secure else None)
    calling(ca_bundle=str(tls.ca_bundle))
    assert http.post(url, data=b"x").status == 200
    more.set()
    assert said.wait(3)
    assert http.post(url, data=b"x").status == 200
    assert service.asked == [0, 1]


def test_a_service_that_closes_after_its_answer_is_asked_over_a_new_connection(service, calling):
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(ANSWER)
        connection.shutdown(socket.SHUT_RDWR)

    url = service.serve(answer)
    calling()
    for _ in range(5):
        assert http.post(url, data=b"x").status == 200
        assert service.ended.acquire(timeout=3)
    assert service.asked == [0, 1, 2, 3, 4]


def slow_to_close(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("end", [cut, reset, slow_to_close])
@pytest.mark.parametrize("size", [1, 3_000_000], ids=["small", "large"])
def test_a_kept_connection_that_was_closed_meanwhile_is_no_failure(service, calling, tls, end, size, secure):
    """It shows only when the next request is on its way: that one is sent once more."""

    def answer(connection: socket.socket, number: int) -> bool:
        if number == 1 and service.asked == [0, 0]:
            end(connection)
            return True
        if number == 0:
            connection.sendall(ANSWER)
        return False

    url = service.serve(answer, tls.context if secure else None)
    call = calling(ca_bundle=str(tls.ca_bundle))
    assert http.post(url, data=b"x").body == b"ok"
    assert http.post(url, data=b"x" * size).body == b"ok"
    assert service.asked[:3] == [0, 0, 1]
    assert len(call.exchanges) == 2
    assert [one.status for one in call.exchanges] == [200, 200]


def test_it_is_sent_once_more_and_not_twice(service, calling):
    def answer(connection: socket.socket, number: int) -> None:
        if service.asked == [0]:
            connection.sendall(ANSWER)
        else:
            cut(connection)

    url = service.serve(answer)
    call = calling()
    http.post(url, data=b"x")
    with pytest.raises(DeliveryFailed, match="closed the connection before it had answered"):
        http.post(url, data=b"x")
    assert service.asked == [0, 0, 1]
    assert len(call.exchanges) == 2


def test_half_an_answer_over_a_kept_connection_is_a_failure(service, calling):
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(b"HT" if number else ANSWER)
        if number:
            cut(connection)

    url = service.serve(answer)
    calling()
    http.post(url, data=b"x")
    with pytest.raises(DeliveryFailed, match="closed the connection before it had answered"):
        http.post(url, data=b"x")
    assert service.asked == [0, 0]


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("then", [silent, lambda connection: drip(connection, b"HTTP/1.1 102 Processing\r\n\r\n")])
def test_a_kept_connection_is_watched(service, calling, tls, then, secure):
    def answer(connection: socket.socket, number: int) -> None:
        if number:
            then(connection)
        else:
            connection.sendall(ANSWER)

    url = service.serve(answer, tls.context if secure else None)
    calling(ca_bundle=str(tls.ca_bundle))
    http.post(url, data=b"x")
    calling(0.2, ca_bundle=str(tls.ca_bundle))
    with ending_by(0.2), pytest.raises(DeliveryFailed, match=r"timed out after 0.[12] s, waiting for the answer"):
        http.post(url, data=b"x")
    assert service.asked == [0, 0]
    assert service.ended.acquire(timeout=3)


# ---------------------------------------------------------------------------------------------------- how long, how many


def test_an_idle_connection_closes_by_itself(service, calling, monkeypatch):
    monkeypatch.setattr(http_pool, "IDLE_S", 0.1)
    url = service.serve()
    calling()
    for _ in range(2):
        http.post(url, data=b"x")
        assert service.ended.acquire(timeout=3), "it is still open"
    assert service.asked == [0, 1]


def test_a_connection_that_is_old_serves_no_more(service, calling, monkeypatch):
    url = service.serve()
    calling()
    http.post(url, data=b"x")
    monkeypatch.setattr(http_pool, "MAX_AGE_S", 0.05)
    time.sleep(0.1)
    for _ in range(2):  # the first one is put back, too old already
        http.post(url, data=b"x")
    assert service.asked[-1] != 0


class Pair:
    """A connection, and the other side of it."""

    def __init__(self) -> None:
        self.sock, self.far = socket.socketpair()
        self.opened_at = time.monotonic()

    def close(self) -> None:
        self.sock.close()

    @property
    def is_open(self) -> bool:
        return self.sock.fileno() >= 0


@pytest.mark.parametrize(
    ("routes", "left"),
    [(1, http_pool.MAX_KEPT_PER_ROUTE), (50, http_pool.MAX_KEPT)],
    ids=["of one route", "of all"],
)
def test_no_more_than_some_are_kept_and_those_used_last(routes, left):
    pairs = [Pair() for _ in range(50)]
    try:
        for number, pair in enumerate(pairs):
            http_pool.put(Route("http", f"host{number % routes}", 80, (), None, None), pair)
        assert [pair.is_open for pair in pairs] == [False] * (50 - left) + [True] * left
        http_pool.close()
        assert not any(pair.is_open for pair in pairs)
    finally:
        for pair in pairs:
            pair.far.close()
            pair.close()


FORKING = """
import os, sys
from brokers.transport import http
from brokers.transport.call import Call, placing

plain, silent = sys.argv[1:]
http.post(plain, data=b"x")
child = os.fork()
if child == 0:
    http.post(plain, data=b"x")
    with placing(Call()) as call:
        call.deadline -= 29.8
        try:
            http.post(silent, data=b"x")
        except http.DeliveryFailed as error:
            os._exit(0 if "timed out" in str(error) else 1)
    os._exit(2)
assert os.waitpid(child, 0)[1] == 0
http.post(plain, data=b"x")
"""


def test_a_forked_child_has_its_own_connections_and_its_own_watchdog(service, raw_server):
    arguments = ["-W", "ignore::DeprecationWarning", "-c", FORKING, service.serve(), raw_server(silent)]
    subprocess.run([sys.executable, *arguments], check=True, timeout=20)
    assert service.asked == [0, 1, 0]


def test_many_threads_get_their_own_answers(raw_server, calling):
    def echo(connection: socket.socket) -> None:
        connection.sendall(ANSWER)
        while request := connection.recv(65536):
            said = request.partition(b"\r\n\r\n")[2]
            connection.sendall(OK + b"Content-Length: %d\r\n\r\n%s" % (len(said), said))

    url = raw_server(echo)
    calling()
    http.post(url, data=b"")  # so that all imports are done

    def ask(number: int) -> bool:
        bodies = [f"{number}.{turn}".encode() for turn in range(10)]
        return all(http.post(url, data=body).body in (body, b"ok") for body in bodies)

    with ThreadPoolExecutor(64) as threads:
        assert all(threads.map(ask, range(64)))


# --------------------------------------------------------------------------------------------------------------- proxies


def relay(near: socket.socket, far: socket.socket) -> None:
    """In one thread: OpenSSL lets no two use one connection."""
    while True:
        waiting = isinstance(near, ssl.SSLSocket) and near.pending()
        for source in [near] if waiting else select.select([near, far], [], [], 5)[0]:
            said = source.recv(65536)
            if not said:
                return
            (far if source is near else near).sendall(said)


@pytest.mark.parametrize(
    ("scheme", "proxy_scheme", "tunnels"),
    [("http", "http", 0), ("http", "https", 0), ("https", "http", 1), ("https", "https", 2)],
)
def test_what_is_kept_through_a_proxy(raw_server, calling, tls, scheme, proxy_scheme, tunnels):
    """TLS within TLS is not kept, as its inner side has no socket to watch."""
    opened = []

    def answer(connection: socket.socket) -> None:
        opened.append(1)
        if scheme == "http":
            connection.sendall(ANSWER)
            while connection.recv(65536):
                connection.sendall(ANSWER)
            return
        connection.sendall(b"HTTP/1.1 200 Established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", target.port)) as inner:
            relay(connection, inner)

    with Receiver(tls=tls.context) as target:
        proxy = raw_server(answer, tls.context if proxy_scheme == "https" else None)
        calling(proxy=proxy, ca_bundle=str(tls.ca_bundle))
        url = target.url if scheme == "https" else "http://127.0.0.1:9/"
        assert [http.post(url, data=b"x").status for _ in range(2)] == [200, 200]
        assert len(opened) == max(1, tunnels)
        assert len(target.requests) == (2 if tunnels else 0)
