import base64
import json
import urllib.request
from pathlib import Path

import pytest

from brokers import compat
from brokers.errors import DeliveryFailed, PermanentFailure, ServiceGone

ASKING = {"WWW-Authenticate": 'Basic realm="Staff only"'}
BASIC = "Basic " + base64.b64encode(b"ann:s3cret").decode()
LOGIN = """
    import urllib2

    def install(url, user='ann', password='s3cret'):
        passwords = urllib2.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, url, user, password)
        urllib2.install_opener(urllib2.build_opener(urllib2.HTTPBasicAuthHandler(passwords)))
"""


@pytest.fixture
def urllib2(load):
    return load("import urllib2\n").urllib2


def test_urlopen_gets_and_posts(urllib2, receiver, calling):
    call = calling()
    receiver.answer(body=json.dumps({"id": 7}).encode())
    answer = urllib2.urlopen(receiver.url + "one")
    assert json.load(answer) == {"id": 7}
    urllib2.urlopen(receiver.url + "two", "x=ü", 3)
    first, second = receiver.requests
    assert (first.method, first.path, first.headers["User-Agent"]) == ("GET", "/one", "Oberon")
    assert (second.method, second.body) == ("POST", "x=ü".encode())
    assert second.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert len(call.exchanges) == 2


def test_a_request_has_the_methods_of_2008(urllib2, receiver, calling):
    calling()
    request = urllib2.Request(receiver.url + "a?b=c", headers={"X-TrackerToken": "t0ken"})
    assert (request.get_method(), request.has_data(), request.get_data()) == ("GET", False, None)
    request.add_data("<a>ü</a>")
    request.add_header("Content-type", "application/xml")
    assert (request.get_method(), request.has_data(), request.get_data()) == ("POST", True, "<a>ü</a>")
    assert (request.get_type(), request.get_host(), request.get_selector()) == ("http", f"127.0.0.1:{receiver.port}", "/a?b=c")
    assert request.get_full_url() == receiver.url + "a?b=c"
    request.get_method = lambda: "PUT"
    urllib2.urlopen(request)
    [came] = receiver.requests
    assert (came.method, came.path, came.body) == ("PUT", "/a?b=c", "<a>ü</a>".encode())
    assert (came.headers["X-TrackerToken"], came.headers["Content-Type"]) == ("t0ken", "application/xml")


def test_headers_of_an_opener_are_sent_unless_the_request_has_them(urllib2, receiver, calling):
    calling()
    opener = urllib2.build_opener(urllib2.HTTPHandler(debuglevel=1), urllib2.HTTPSHandler)
    opener.addheaders = [("User-agent", "bitbucket.org"), ("X-One", "1")]
    opener.open(urllib2.Request(receiver.url, None, {"X-One": "2"}))
    [request] = receiver.requests
    assert (request.headers["User-Agent"], request.headers["X-One"]) == ("bitbucket.org", "2")


def test_asked_for_a_login_it_gives_the_one_of_its_passwords_once(load, receiver, calling):
    calling()
    receiver.answer(401, ASKING, times=3)
    module = load(LOGIN)
    module.install(receiver.url)
    with pytest.raises(DeliveryFailed, match="HTTP 401"):
        module.urllib2.urlopen(receiver.url + "refused", "x=1")
    module.urllib2.urlopen(receiver.url + "taken", "x=1")
    assert [(request.path, request.headers["Authorization"], request.body) for request in receiver.requests] == [
        ("/refused", None, b"x=1"), ("/refused", BASIC, b"x=1"), ("/taken", None, b"x=1"), ("/taken", BASIC, b"x=1"),
    ]  # fmt: skip


def test_an_opener_installed_by_one_delivery_is_not_the_next_ones(load, receiver, calling):
    module = load(LOGIN)
    calling()
    module.install(receiver.url)
    calling()
    receiver.answer(401, ASKING)
    with pytest.raises(DeliveryFailed, match="HTTP 401"):
        module.urllib2.urlopen(receiver.url)
    assert len(receiver.requests) == 1


def test_an_opener_installed_while_the_file_is_loaded_is_for_all_its_deliveries_and_no_other_file(load, receiver, calling):
    module = load(LOGIN + f"    install({receiver.url!r})\n")
    other = load("import urllib2\n")
    for file, requests in ((module, 2), (module, 2), (other, 1)):
        calling()
        receiver.clear()
        receiver.answer(401, ASKING)
        if file is other:
            with pytest.raises(DeliveryFailed, match="HTTP 401"):
                file.urllib2.urlopen(receiver.url)
        else:
            assert file.urllib2.urlopen(receiver.url).code == 200
        assert len(receiver.requests) == requests


@pytest.mark.parametrize("status", [302, 404, 410, 500])
def test_no_success_is_an_http_error_that_can_be_read(urllib2, receiver, calling, status):
    calling()
    receiver.answer(status, {"Location": "/elsewhere", "X-Said": "so"}, b"the page")
    with pytest.raises(urllib2.HTTPError) as raised:
        urllib2.urlopen(receiver.url)
    error = raised.value
    assert (error.code, error.getcode(), error.read(), error.geturl()) == (status, status, "the page", receiver.url)
    assert error.info().getheader("X-Said") == error.headers["X-Said"] == "so"
    assert isinstance(error, (urllib2.URLError, OSError))
    assert isinstance(error, ServiceGone) == (status == 410)
    assert len(receiver.requests) == 1


def test_no_answer_is_a_url_error(urllib2, receiver, calling):
    calling()
    receiver.stop()
    with pytest.raises(urllib2.URLError, match="cannot connect") as raised:
        urllib2.urlopen(receiver.url)
    assert isinstance(raised.value, DeliveryFailed)
    assert raised.value.endpoint_down


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "file:///etc/passwd", "data:text/plain,x"])
def test_only_http_and_https_are_opened(urllib2, calling, url):
    calling()
    with pytest.raises(PermanentFailure, match="not an http or https address"):
        urllib2.urlopen(url)


def test_the_guard_of_addresses_and_the_dry_run_hold(urllib2, receiver, calling):
    calling(allow_hosts=("external",))
    with pytest.raises(PermanentFailure, match="loopback address"):
        urllib2.urlopen(receiver.url)
    call = calling(dry_run=True)
    assert urllib2.urlopen(receiver.url, "x=1").code == 200
    assert receiver.requests == []
    assert call.exchanges[0].request.endswith("\n\nx=1")


def test_a_broker_may_raise_its_errors(urllib2):
    assert str(urllib2.URLError("no luck")) == "no luck"
    raised = urllib2.HTTPError("http://x.example/", 503, "Busy", {"Retry-After": "60"}, None)
    assert (str(raised), raised.after_s, raised.url) == ("HTTP 503 Busy", 60.0, "http://x.example/")


def test_the_manual_names_all_there_is(load):
    manual = (Path(compat.__file__).parent / "README.md").read_text("utf-8")
    module = load("import urllib, urllib2\n")
    there = {name for names in (vars(module.urllib), vars(module.urllib2)) for name in names if not name.startswith("__")}
    assert {name for name in there if f"`{name}`" not in manual} == set()


def test_python_3s_own_openers_stay_as_they_are(urllib2):
    assert urllib.request.build_opener is not urllib2.build_opener
    assert ("User-agent", f"Python-urllib/{urllib.request.__version__}") in urllib.request.OpenerDirector().addheaders
