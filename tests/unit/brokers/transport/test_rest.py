import pytest

from brokers.errors import DeliveryFailed, ServiceGone
from brokers.transport.call import Call, placing
from brokers.transport.http import Response
from brokers.transport.rest import Rest, listed, part, value


@pytest.fixture
def server(receiver):
    return Rest(receiver.url + "api", {"X-Token": "secret"}, ("ada", "pass"))


def test_a_request(receiver, server):
    server.request("PUT", f"/{part('a/b ü')}", {"text": "ü"}, query={"since": "2026-01-01T00:00:00Z", "empty": ""})
    [request] = receiver.requests
    assert (request.method, request.path) == ("PUT", "/api/a%2Fb%20%C3%BC?since=2026-01-01T00%3A00%3A00Z&empty=")
    assert request.payload() == {"text": "ü"}
    assert [request.headers[name] for name in ("Accept", "Content-Type", "X-Token", "Authorization")] == [
        "application/json",
        "application/json",
        "secret",
        "Basic YWRhOnBhc3M=",
    ]


def test_a_request_without_a_body(receiver, server):
    server.request("GET", "/x")
    assert receiver.requests[0].headers["Content-Type"] is None
    assert receiver.requests[0].body == b""


@pytest.mark.parametrize(("body", "kind"), [(b'{"a": 1}', dict), (b"[1]", list)])
def test_the_value_of_an_answer(body, kind):
    assert type(value(Response(200, body=body), kind)) is kind


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"3", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_none(body):
    with pytest.raises(DeliveryFailed, match="not what the service's API answers"):
        value(Response(200, body=body), dict)


def test_an_answer_that_is_an_error():
    with pytest.raises(ServiceGone):
        value(Response(410, body=b"{}"), dict)


def test_in_a_dry_run_every_answer_is_empty(server):
    with placing(Call(dry_run=True)):
        assert value(server.request("GET", "/x"), dict) == {}
        assert value(server.request("GET", "/x"), list) == []


@pytest.mark.parametrize("status", [301, 404, 410])
def test_what_is_missing_where_the_rest_is_there(server, status):
    assert server.is_missing(Response(status), "/project")


def test_what_is_missing_with_all_around_it(receiver, server):
    receiver.answer(404)
    with pytest.raises(DeliveryFailed, match="HTTP 404"):
        server.is_missing(Response(404), "/project")
    assert not server.is_missing(Response(500), "/project")


def test_the_objects_of_a_list():
    assert listed({"rows": [{"a": 1}, 2, None, {"b": 3}]}, "rows") == [{"a": 1}, {"b": 3}]
    assert [listed({"rows": wrong}, "rows") for wrong in (None, {}, "x", 3)] == [[]] * 4
    assert listed({}, "rows") == []
