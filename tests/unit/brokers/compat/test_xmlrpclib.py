import xmlrpc.client

import pytest

from brokers.errors import DeliveryFailed, PermanentFailure


@pytest.fixture
def xmlrpclib(load):
    return load("import xmlrpclib\n").xmlrpclib


def test_a_method_is_called_and_its_result_comes_back(xmlrpclib, receiver, calling):
    call = calling()
    receiver.answer(body=xmlrpc.client.dumps(({"id": 7},), methodresponse=True).encode())
    server = xmlrpclib.ServerProxy(receiver.url.replace("//", "//ann:s3cret@") + "RPC2?a=b")
    assert server.hub.deliver("grün", 3) == {"id": 7}
    [request] = receiver.requests
    assert (request.path, request.headers["Content-Type"]) == ("/RPC2?a=b", "text/xml")
    assert request.headers["Authorization"].startswith("Basic ")
    assert xmlrpc.client.loads(request.body) == (("grün", 3), "hub.deliver")
    assert len(call.exchanges) == 1


def test_faults_refusals_and_guards_are_errors(xmlrpclib, receiver, calling):
    calling()
    server = xmlrpclib.Server(receiver.url)
    receiver.answer(body=xmlrpc.client.dumps(xmlrpc.client.Fault(4, "no such project")).encode())
    with pytest.raises(xmlrpclib.Fault, match="no such project"):
        server.hub.deliver("x")
    receiver.answer(503)
    with pytest.raises(DeliveryFailed, match="HTTP 503"):
        server.hub.deliver("x")
    calling(allow_hosts=("external",))
    with pytest.raises(PermanentFailure, match="loopback address"):
        server.hub.deliver("x")


def test_a_dry_run_says_nothing_to_the_server(xmlrpclib, receiver, calling):
    call = calling(dry_run=True)
    xmlrpclib.Server(receiver.url).hub.deliver("x")
    assert receiver.requests == []
    assert "hub.deliver" in call.exchanges[0].request
