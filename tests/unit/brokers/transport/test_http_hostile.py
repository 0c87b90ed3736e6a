"""Endpoints that do all they can to hold a worker, to fill its memory, or to be taken for a success."""

from __future__ import annotations

import bz2
import functools
import gzip
import lzma
import select
import socket
import struct
import time

import pytest

from brokers.errors import DeliveryFailed
from brokers.transport import http
from brokers.transport.call import KEPT_BYTES
from tests.unit.brokers.transport.conftest import DRIP_S, drip, ending_by, flat_memory

WITHIN_S = 0.2
TO_BEGIN_S = 0.5  # where an answer has to begin before that, on a busy machine
OK = b"HTTP/1.1 200 OK\r\n"


def silent(connection: socket.socket) -> None:
    while connection.recv(65536):  # until the client has gone
        pass


def status_drip(connection: socket.socket) -> None:
    for byte in b"HTTP/1.1 200 " + b"O" * 100 + b"K\r\n\r\n":
        drip(connection, bytes([byte]), 1)


def header_drip(connection: socket.socket) -> None:
    connection.sendall(OK)
    drip(connection, b"X-A: y\r\n")


def half_a_head(connection: socket.socket) -> None:
    connection.sendall(OK + b"Content-Type: text/plain\r\n")
    silent(connection)


def reset(connection: socket.socket) -> None:
    """Close so that the client gets an RST, whatever it has sent."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def interim(status: bytes, connection: socket.socket) -> None:
    drip(connection, b"HTTP/1.1 " + status + b"\r\n\r\n")


ENDLESS = [
    silent,
    status_drip,
    header_drip,
    half_a_head,
    functools.partial(interim, b"100 Continue"),
    functools.partial(interim, b"102 Processing"),
    functools.partial(interim, b"103 Early Hints"),
]


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("answer", ENDLESS, ids=["silent", "status", "header", "half a head", "100", "102", "103"])
def test_an_answer_that_never_comes_ends_at_the_deadline_as_a_failure(raw_server, calling, tls, answer, secure):
    url = raw_server(answer, tls.context if secure else None)
    calling(WITHIN_S, ca_bundle=str(tls.ca_bundle))
    with ending_by(WITHIN_S), pytest.raises(DeliveryFailed, match=r"timed out after 0.[12] s, waiting for the answer") as caught:
        http.post(url, data=b"x")
    assert caught.value.slow_down


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("head", "piece"),
    [(b"Content-Length: 40\r\n\r\n", b"x"), (b"\r\n", b"x"), (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")],
    ids=["length", "to the end", "chunked"],
)
def test_a_body_that_drips_is_a_success_by_its_status(raw_server, calling, tls, head, piece, secure):
    def answer(connection: socket.socket) -> None:
        connection.sendall(OK + head)
        drip(connection, piece, 30)

    url = raw_server(answer, tls.context if secure else None)
    calling(TO_BEGIN_S, ca_bundle=str(tls.ca_bundle))
    with ending_by(TO_BEGIN_S):
        response = http.check(http.post(url, data=b"x"))
    assert set(response.body) == {ord("x")}
    assert len(response.body) <= TO_BEGIN_S / DRIP_S + 1


def test_a_handshake_that_never_comes(raw_server, calling):
    url = raw_server(silent).replace("http:", "https:")
    calling(WITHIN_S)
    with ending_by(WITHIN_S), pytest.raises(DeliveryFailed, match="timed out"):
        http.post(url, data=b"x")


def test_an_upload_that_is_not_taken(raw_server, calling):
    url, body = raw_server(lambda connection: time.sleep(1), read=False), b"x" * 30_000_000
    calling(WITHIN_S)
    with ending_by(WITHIN_S), pytest.raises(DeliveryFailed, match="timed out"):
        http.post(url, data=body)


def test_interim_answers_before_the_true_one(raw_server, calling):
    calling()
    said = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"
    response = http.post(raw_server(lambda connection: connection.sendall(said)), data=b"x")
    assert (response.status, response.body) == (202, b"ok")
    assert "Link" not in response.headers


@pytest.mark.parametrize(
    "piece",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        OK + b"X-A: " + b"y" * 60_000 + b"\r\n",
    ],
    ids=["100", "103", "headers"],
)
def test_a_flood_of_headers_ends_long_before_the_deadline(raw_server, calling, piece):
    def answer(connection: socket.socket) -> None:
        for _ in range(50_000_000 // len(piece)):
            connection.sendall(piece)

    calling(20)
    with flat_memory(), pytest.raises(DeliveryFailed, match=r"no answer that is HTTP: its headers are longer than 128 KiB"):
        http.post(raw_server(answer), data=b"x")


@pytest.mark.parametrize("framing", [b"", b"Content-Length: 200000000\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("status", [b"200 OK", b"302 Found", b"500 Oh"])
def test_a_body_of_200_megabytes_takes_8_kilobytes(raw_server, calling, framing, status):
    block = b"z" * 1_000_000
    if b"chunked" in framing:
        block = b"f4240\r\n" + block + b"\r\n"
    sent = []

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 " + status + b"\r\n" + framing + b"\r\n")
        for _ in range(200):
            connection.sendall(block)
            sent.append(len(block))

    call = calling()
    url = raw_server(answer)
    with flat_memory():
        response = http.post(url, data=b"x")
    assert response.body == b"z" * KEPT_BYTES
    assert len(call.exchanges[0].response.encode()) <= KEPT_BYTES
    assert sum(sent) < 20_000_000  # what socket buffers hold; nobody reads the rest


def _zstd(data: bytes) -> bytes:
    """A frame of RLE blocks of 128 KiB (RFC 8878, 3.1.1.2), as no module of the standard library makes one before 3.14."""
    block = (128 * 1024) << 3 | 1 << 1
    count = len(data) // (128 * 1024)
    blocks = [block.to_bytes(3, "little") + data[:1]] * count + [b"\x01\x00\x00"]
    return b"\x28\xb5\x2f\xfd\x00\x58" + b"".join(blocks)


BOMB = b"\0" * 20_000_000


@pytest.mark.parametrize("status", [b"200 OK", b"302 Found"])
@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [(b"gzip", gzip.compress(BOMB)), (b"x-bzip2", bz2.compress(BOMB)), (b"xz", lzma.compress(BOMB)), (b"zstd", _zstd(BOMB))],
    ids=["gzip", "bzip2", "xz", "zstd"],
)
def test_a_bomb_is_not_decoded(raw_server, calling, encoding, bomb, status):
    head = b"HTTP/1.1 " + status + b"\r\nContent-Encoding: " + encoding + b"\r\nLocation: /\r\n"
    head += b"Content-Length: %d\r\n\r\n" % len(bomb)
    calling()
    url = raw_server(lambda connection: connection.sendall(head + bomb))
    with flat_memory():
        response = http.post(url, data=b"x")
    assert response.body == bomb[:KEPT_BYTES]


@pytest.mark.parametrize(
    "said",
    [
        OK + b"X-A: y\r\n" * 10_000 + b"\r\n",
        OK + b"X-A: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"y" * 1_000_000 + b"\r\n\r\n",
        OK + b"Content-Length: -5\r\n\r\nhello",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        OK + b"Content-Length: 5, 6\r\n\r\nhello",
        OK + b"Content-Length: many\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 100 + b"\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"e" * 100_000 + b"\r\nx\r\n0\r\n\r\n",
        OK,
        OK + b"X-Half: a hea",
        b"HTTP/1.1 2",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example ESMTP\r\n",
        b"\x00\xff\x1b[2J\r\n\r\n",
        b"",
    ],
    ids=lambda said: repr(said[:60]),
)
def test_what_is_no_whole_http_answer_is_a_failure(raw_server, calling, said):
    call = calling(2)
    url = raw_server(lambda connection: connection.sendall(said))
    with flat_memory(), ending_by(2), pytest.raises(DeliveryFailed) as caught:
        http.check(http.post(url, data=b"x"))
    assert call.exchanges[0].status is None
    assert "timed out" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (OK + b"Content-Length: 50\r\n\r\nhello", b"hello"),
        (OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n", b"hello!"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", b"hel"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b""),
        (OK + b"\r\nhello", b"hello"),
        (b"HTTP/1.0 204 No Content\r\n\r\n", b""),
    ],
    ids=lambda said: repr(said[:80]),
)
def test_with_whole_headers_the_service_has_answered(raw_server, calling, said, body):
    calling()
    assert http.check(http.post(raw_server(lambda connection: connection.sendall(said)), data=b"x")).body == body


@pytest.mark.parametrize("said", [b"", OK, OK + b"Content-Len"], ids=["nothing", "status", "half a header"])
@pytest.mark.parametrize("size", [1, 10_000_000], ids=["small", "while the body is sent"])
def test_a_reset_before_the_headers_end(raw_server, calling, said, size):
    def answer(connection: socket.socket) -> None:
        connection.sendall(said)
        reset(connection)

    calling()
    with pytest.raises(DeliveryFailed, match=r"closed the connection before it had answered"):
        http.post(raw_server(answer), data=b"x" * size)


def test_a_reset_within_the_body_is_a_success_by_its_status(raw_server, calling):
    def answer(connection: socket.socket) -> None:
        connection.sendall(OK + b"Content-Length: 50\r\n\r\nhello")
        time.sleep(DRIP_S)
        reset(connection)

    calling()
    assert http.check(http.post(raw_server(answer), data=b"x")).body == b"hello"


def reads_on(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)
    silent(connection)


def neither_reads_nor_closes(connection: socket.socket) -> None:
    select.select([], [], [connection], 0.8)


@pytest.mark.parametrize("then", [reads_on, socket.socket.close, neither_reads_nor_closes])
def test_an_early_413_is_reported_as_such(raw_server, calling, then):
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo much")
        then(connection)

    url, body = raw_server(answer), b"x" * 10_000_000
    call = calling(0.5)
    with ending_by(0.5), pytest.raises(DeliveryFailed, match="HTTP 413 Content Too Large: too much"):
        http.check(http.post(url, data=body))
    assert call.exchanges[0].status == 413


def test_no_time_is_left_at_all(raw_server, calling):
    calling(-1)
    with pytest.raises(DeliveryFailed, match="timed out after 0 s"):
        http.post(raw_server(silent), data=b"x")
