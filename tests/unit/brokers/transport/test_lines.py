from __future__ import annotations

import time

import pytest

from brokers.errors import DeliveryFailed, PermanentFailure
from brokers.transport.call import Call, placing
from brokers.transport.lines import send
from tests.support.line_server import listening
from tests.support.ports import free_port


@pytest.mark.parametrize("udp", [False, True])
def test_each_line_arrives_whole(udp):
    with listening(udp=udp) as server, placing(Call()) as call:
        assert send("127.0.0.1", server.port, ["one", "zwölf \U0001f600"], udp=udp) == f"sent 2 lines to 127.0.0.1:{server.port}"
        assert server.lines.wait(2, 5) == [b"one\n", "zwölf \U0001f600\n".encode()]
    [exchange] = call.exchanges
    assert (exchange.transport, exchange.request) == ("udp" if udp else "tcp", "one\nzwölf \U0001f600")


@pytest.mark.parametrize("udp", [False, True])
def test_nobody_is_there(udp):
    with placing(Call()), pytest.raises(DeliveryFailed, match="connection refused") as raised:
        send("127.0.0.1", free_port(), ["one"], udp=udp)
    assert raised.value.endpoint_down


@pytest.mark.parametrize("udp", [False, True])
def test_a_host_that_is_not_allowed_hears_nothing(udp):
    with listening(udp=udp) as server, placing(Call(allow_hosts=("external",))):
        with pytest.raises(PermanentFailure, match="loopback address are not allowed"):
            send("127.0.0.1", server.port, ["one"], udp=udp)
        assert server.lines.all() == []


@pytest.mark.parametrize("udp", [False, True])
def test_a_dry_run_says_nothing(udp):
    with listening(udp=udp) as server, placing(Call(dry_run=True)) as call:
        assert send("127.0.0.1", server.port, ["one\x1b"], udp=udp) == f"would send 1 line to 127.0.0.1:{server.port}"
        assert server.lines.all() == []
    assert [exchange.request for exchange in call.exchanges] == ["one\\x1b"]


def test_who_does_not_read_to_the_end_has_not_taken_it():
    with listening(closes=False) as server, placing(Call(deadline=time.monotonic() + 0.2)):
        with pytest.raises(DeliveryFailed, match=r"timed out after 0\.2 s, .*127\.0\.0\.1") as raised:
            send("127.0.0.1", server.port, ["one"])
        assert server.lines.all() == [b"one\n"]
    assert raised.value.slow_down


def test_a_name_that_there_is_not():
    with placing(Call()), pytest.raises(DeliveryFailed, match=r"cannot find irker\.example\.org"):
        send("irker.example.org", 6659, ["one"], udp=True)
