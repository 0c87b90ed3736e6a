import base64
import threading
import urllib.request
from urllib.parse import parse_qs

import pytest

from brokers.errors import DeliveryFailed, PermanentFailure, ServiceGone

OPENER = """
    import urllib

    class URLOpener(urllib.FancyURLopener):
        version = 'Bitbucket.org'
        asked = 0

        def prompt_user_passwd(self, host, realm):
            self.asked += 1
            self.host, self.realm = host, realm
            return (self.user, self.password)
"""
ASKING = {"WWW-Authenticate": 'Basic realm="Staff only"'}


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(autouse=True)
def _python_3_14(monkeypatch):
    """Nothing of these is used, where Python still has them."""
    for name in ("URLopener", "FancyURLopener"):
        monkeypatch.delattr(urllib.request, name, raising=False)


def test_data_is_posted_as_a_form_and_the_answer_is_text(load, receiver, calling):
    call = calling()
    receiver.answer(201, {"Content-Type": "text/plain; charset=latin-1", "X-Said": "so"}, "grün\nrot\n".encode("latin-1"))
    answer = load(OPENER).URLOpener().open(receiver.url + "a b?c=d", "x=1&y=ü")
    [request] = receiver.requests
    assert (request.method, request.path, request.body) == ("POST", "/a%20b?c=d", "x=1&y=ü".encode())
    assert request.headers["User-Agent"] == "Bitbucket.org"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert (answer.code, answer.getcode(), answer.geturl()) == (201, 201, receiver.url + "a%20b?c=d")
    assert answer.info().getheader("x-said") == answer.headers["X-Said"] == "so"
    assert answer.info().getheader("absent", "none") == "none"
    assert (answer.readline(), answer.read()) == ("grün\n", "rot\n")
    assert [exchange.status for exchange in call.exchanges] == [201]


def test_without_data_it_is_a_get_with_the_headers_that_were_added(load, receiver, calling):
    calling()
    opener = load("import urllib\nclass Plain(urllib.URLopener): pass\n").Plain()
    opener.addheader("X-Token", "t0ken")
    opener.open(receiver.url)
    [request] = receiver.requests
    assert (request.method, request.headers["X-Token"], request.headers["User-Agent"]) == ("GET", "t0ken", "Oberon")
    assert request.headers["Content-Type"] is None


def test_asked_for_a_login_it_prompts_once_and_sends_the_request_again(load, receiver, calling):
    calling()
    receiver.answer(401, ASKING)
    opener = load(OPENER).URLOpener()
    opener.user, opener.password = "ann", "s3cret:ü"
    assert opener.open(receiver.url, "x=1").code == 200
    first, second = receiver.requests
    assert first.headers["Authorization"] is None
    assert second.headers["Authorization"] == basic("ann", "s3cret:ü")
    assert (second.method, second.body) == ("POST", b"x=1")
    assert (opener.asked, opener.host, opener.realm) == (1, f"127.0.0.1:{receiver.port}", "Staff only")


def test_a_login_that_is_refused_is_not_tried_again(load, receiver, calling):
    calling()
    receiver.answer(401, ASKING, times=None)
    opener = load(OPENER).URLOpener()
    opener.user, opener.password = "ann", "wrong"
    with pytest.raises(DeliveryFailed, match=r"^HTTP 401 Unauthorized;"):
        opener.open(receiver.url, "x=1")
    assert len(receiver.requests) == 2


def test_a_login_is_not_remembered_for_the_next_service_of_the_thread(load, receiver, calling):
    calling()
    opener = load(OPENER).URLOpener()
    for user in ("ann", "bob"):
        receiver.answer(401, ASKING)
        opener.user, opener.password = user, "s3cret"
        opener.open(receiver.url)
    assert [request.headers["Authorization"] for request in receiver.requests] == [
        None, basic("ann", "s3cret"), None, basic("bob", "s3cret"),
    ]  # fmt: skip


@pytest.mark.parametrize("headers", [{}, {"WWW-Authenticate": 'Digest realm="x", nonce="y"'}])
def test_what_asks_for_no_basic_login_gets_none(load, receiver, calling, headers):
    calling()
    receiver.answer(401, headers)
    with pytest.raises(DeliveryFailed, match="401"):
        load(OPENER).URLOpener().open(receiver.url)
    assert len(receiver.requests) == 1


def test_the_login_of_an_address_is_sent_at_once(load, receiver, calling):
    calling()
    load(OPENER).URLOpener().open(receiver.url.replace("//", "//ann:s3%40cret@"), "x=1")
    [request] = receiver.requests
    assert request.headers["Authorization"] == basic("ann", "s3@cret")


@pytest.mark.parametrize(
    ("status", "headers", "kind", "reason"),
    [
        (404, {}, DeliveryFailed, "HTTP 404 Not Found: no such hook"),
        (503, {"Retry-After": "120"}, DeliveryFailed, "HTTP 503 Service Unavailable: no such hook"),
        (410, {}, ServiceGone, "HTTP 410 Gone: the service is gone for good"),
        (302, {"Location": "/there"}, DeliveryFailed, "redirects are not followed; it points to /there"),
    ],
)
def test_an_answer_that_is_no_success_is_an_error_with_its_reason(load, receiver, calling, status, headers, kind, reason):
    calling()
    receiver.answer(status, headers, b"no such hook\n")
    with pytest.raises(kind) as raised:
        load(OPENER).URLOpener().open(receiver.url, "x=1")
    assert reason in str(raised.value)
    assert status == 410 or raised.value.endpoint_down == (status == 503)
    assert raised.value.after_s == (120.0 if status == 503 else None)
    assert (raised.value.code, raised.value.read()) == (status, "no such hook\n")
    assert len(receiver.requests) == 1


def test_a_broker_may_look_at_a_refusal_itself(load, receiver, calling):
    calling()
    receiver.answer(404, body=b"the page", times=3)
    module = load(
        """
        import urllib

        class Lenient(urllib.FancyURLopener):
            def http_error_default(self, url, fp, errcode, errmsg, headers):
                return fp

        class Missing(urllib.URLopener):
            def http_error_404(self, url, fp, errcode, errmsg, headers, data=None):
                return (url, fp.read(), errcode, errmsg, data)

        def caught(url):
            try:
                urllib.urlopen(url)
            except IOError:
                return 'caught'
        """
    )
    assert module.Lenient().open(receiver.url).read() == "the page"
    assert module.Missing().open(receiver.url, "x") == (receiver.url, "the page", 404, "Not Found", "x")
    assert module.caught(receiver.url) == "caught"


@pytest.mark.parametrize(
    ("url", "circumstances", "reason"),
    [
        ("file:///etc/passwd", {}, "file:// is not an http or https address"),
        ("/etc/passwd", {}, "not an http or https address"),
        ("{url}", {"allow_hosts": ("external",)}, "deliveries to this loopback address are not allowed"),
    ],
)
def test_the_guards_of_the_transport_hold(load, receiver, calling, url, circumstances, reason):
    calling(**circumstances)
    with pytest.raises(PermanentFailure, match=reason):
        load(OPENER).URLOpener().open(url.format(url=receiver.url))
    assert receiver.requests == []


def test_a_refused_connection_is_tried_again_later(load, receiver, calling):
    calling()
    receiver.stop()
    with pytest.raises(DeliveryFailed, match=r"cannot connect to 127\.0\.0\.1") as raised:
        load(OPENER).URLOpener().open(receiver.url)
    assert isinstance(raised.value, OSError)
    assert not isinstance(raised.value, PermanentFailure)


def test_proxies_of_an_opener_are_refused(load):
    with pytest.raises(PermanentFailure, match=r"oberon\.proxy"):
        load(OPENER).URLOpener({"http": "http://proxy.example"})


def test_urlopen_uses_the_opener_that_the_file_has_set(load, receiver, calling):
    calling()
    module = load(OPENER + "    urllib._urlopener = URLOpener()\n    urlopen = urllib.urlopen\n")
    load("import urllib\nurlopen = urllib.urlopen\n").urlopen(receiver.url, "x=1")
    module.urlopen(receiver.url)
    assert [request.headers["User-Agent"] for request in receiver.requests] == ["Oberon", "Bitbucket.org"]


def test_an_answer_is_read_up_to_a_megabyte_and_a_longer_one_is_no_answer(load, receiver, calling):
    calling()
    opener = load(OPENER).URLOpener()
    receiver.answer(body=b"x" * 1024 * 1024)
    assert len(opener.open(receiver.url).read()) == 1024 * 1024
    receiver.answer(body=b"x" * (1024 * 1024 + 1))
    longer = opener.open(receiver.url)
    assert longer.read(3) == "xxx"
    with pytest.raises(DeliveryFailed, match="longer than 1024 KiB"):
        longer.read()


def test_a_charset_that_there_is_not_is_read_as_utf_8(load, receiver, calling):
    calling()
    receiver.answer(headers={"Content-Type": "text/plain; charset=klingon"}, body="grün".encode())
    assert load(OPENER).URLOpener().open(receiver.url).read() == "grün"


def test_words_for_addresses_and_forms(load):
    module = load(
        """
        from urllib import urlencode, quote, quote_plus, unquote, unquote_plus
        form = urlencode({'message[body]': u'gr\\xfcn & rot'.encode('utf-8')})
        there = [quote(u'a b/\\xfc'), quote_plus('a b/'), unquote('a%20b'), unquote_plus('a+b')]
        """
    )
    assert parse_qs(module.form) == {"message[body]": ["grün & rot"]}
    assert module.there == ["a%20b/%C3%BC", "a+b%2F", "a b", "a b"]


def test_python_3s_own_names_are_there_too(load):
    module = load(
        """
        import urllib
        import urllib.parse
        import urllib.request as opening
        import urllib.error
        from urllib import parse, urlencode
        """
    )
    assert module.urllib.parse is module.parse is urllib.parse
    assert module.opening is module.urllib.request is urllib.request
    assert module.urllib.error is urllib.error
    assert module.urllib.urlencode is urllib.parse.urlencode


def test_openers_of_many_threads_keep_their_logins_apart(load, receiver, calling):
    module = load(OPENER)
    receiver.answer(401, ASKING, times=None)
    failures = []

    def deliver(number):
        opener = module.URLOpener()
        opener.user, opener.password = f"user{number}", "s3cret"
        try:
            opener.open(f"{receiver.url}{number}")
        except DeliveryFailed as error:
            failures.append(error)

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    given = {(request.path, request.headers["Authorization"]) for request in receiver.requests}
    assert given == {(f"/{number}", login) for number in range(8) for login in (None, basic(f"user{number}", "s3cret"))}
    assert len(failures) == 8
