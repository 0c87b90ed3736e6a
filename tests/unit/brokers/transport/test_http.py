from __future__ import annotations

import base64
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme

from brokers.errors import DeliveryFailed, PermanentFailure, ServiceGone
from brokers.testing import Receiver
from brokers.transport import deadline, http
from brokers.transport.call import KEPT_BYTES
from brokers.transport.http import Response
from tests.unit.brokers.transport.conftest import ending_by


def test_a_request_arrives_as_given_and_is_recorded(receiver, calling):
    call = calling()
    receiver.answer(201, {"X-Said": "so", "Content-Type": "text/plain"}, b"made\n")
    response = http.check(http.request("PUT", receiver.url + "a/b?c=d#fragment", data=b"body", headers={"X-One": "1"}))
    assert (response.status, response.reason, response.body) == (201, "Created", b"made\n")
    assert response.headers["x-said"] == "so"
    [request] = receiver.requests
    assert (request.method, request.path, request.body) == ("PUT", "/a/b?c=d", b"body")
    assert dict(request.headers) == {
        "Host": f"127.0.0.1:{receiver.port}",
        "User-Agent": "Oberon",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "X-One": "1",
        "Content-Length": "4",
    }
    [exchange] = call.exchanges
    assert (exchange.transport, exchange.status) == ("http", 201)
    assert exchange.request.split("\n")[0] == "PUT /a/b?c=d HTTP/1.1"
    assert set(exchange.request.split("\n\n")[0].split("\n")[1:]) == {f"{name}: {said}" for name, said in request.headers.items()}
    assert exchange.request.endswith("\n\nbody")
    assert exchange.response.startswith("HTTP 201 Created\n")
    assert exchange.response.endswith("\n\nmade\n")
    assert 0 < exchange.duration_s < 2


def test_userinfo_is_basic_auth_and_stands_nowhere_else(receiver, calling):
    call = calling()
    http.post(f"http://al%20ice:p%40ss%C3%A9@127.0.0.1:{receiver.port}/x", data=b"")
    [request] = receiver.requests
    assert request.path == "/x"
    assert base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode() == "al ice:p@ssé"
    [exchange] = call.exchanges
    assert "Authorization: Basic ***" in exchange.request
    assert "ss" not in exchange.request.replace("HTTP/1.1", "").replace("Content-", "")
    assert base64.b64encode("al ice:p@ssé".encode()).decode() not in exchange.request


def test_given_auth_wins_over_userinfo(receiver, calling):
    calling()
    http.request("GET", f"http://a:b@127.0.0.1:{receiver.port}/", auth=("c", "d"))
    assert receiver.requests[0].headers["Authorization"] == "Basic " + base64.b64encode(b"c:d").decode()


@pytest.mark.parametrize("header", ["Authorization", "Proxy-Authorization", "Cookie"])
def test_credentials_in_headers_are_masked(receiver, calling, header):
    call = calling()
    http.request("GET", receiver.url, headers={header: "Bearer sesame"})
    assert receiver.requests[0].headers[header] == "Bearer sesame"
    assert "sesame" not in call.exchanges[0].request


def test_cookies_are_not_kept(receiver, calling):
    calling()
    receiver.answer(200, {"Set-Cookie": "who=me; Path=/"})
    http.request("GET", receiver.url)
    http.request("GET", receiver.url)
    assert receiver.requests[1].headers["Cookie"] is None


PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def test_the_environment_is_not_heeded(receiver, calling, monkeypatch, tmp_path):
    calling()
    for name in PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in (*CERTIFICATES, "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "/nonexistent")
    netrc = tmp_path / "home" / ".netrc"
    netrc.write_text("machine 127.0.0.1 login stolen password stolen\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert http.request("GET", receiver.url).status == 200
    assert receiver.requests[0].headers["Authorization"] is None


def test_the_environment_vouches_for_nobody(tls, calling, monkeypatch):
    calling()
    for name in CERTIFICATES:
        monkeypatch.setenv(name, str(tls.ca_bundle))
    for name in PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Receiver(tls=tls.context) as receiver:
        with pytest.raises(DeliveryFailed, match="is not accepted"):
            http.post(receiver.url, data=b"x")
        assert not receiver.requests


def test_a_dry_run_records_the_request_and_opens_no_socket(calling):
    call = calling(dry_run=True)
    response = http.check(http.post("http://user:secret@ci.example.org:8080/hook", data=b"payload=1"))
    assert response.status == 200
    [exchange] = call.exchanges
    assert exchange.request.startswith("POST /hook HTTP/1.1\n")
    assert "Host: ci.example.org:8080" in exchange.request
    assert exchange.request.endswith("\n\npayload=1")
    assert "secret" not in exchange.request
    assert (exchange.status, exchange.response) == (200, "")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://127.0.0.1/",
        "unix:/run/docker.sock",
        "//127.0.0.1/",
        "127.0.0.1",
        "http://",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/",
        "http://good.example\\@127.0.0.1/",
        "http://good.example\t@127.0.0.1/",
        "http://127.0.0.1/\r\nX-Injected: 1",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\u202e",
        "http://[::1/",
    ],
)
def test_what_is_no_http_address_can_never_be_sent(calling, url):
    call = calling()
    with pytest.raises(PermanentFailure):
        http.post(url, data=b"")
    assert not call.exchanges


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-Ref", "a\r\nX-Injected: 1"), ("X-Ref", "a\x00b"), ("X-Ref", "\x1b[2J"), ("X-Ref", "中"), ("X\r\nY", "a"), ("X-é", "a")],
)
def test_no_header_holds_another(calling, name, value):
    calling()
    with pytest.raises(PermanentFailure, match=r"header|cannot be made"):
        http.post("http://127.0.0.1:9/", data=b"", headers={name: value})


# ---------------------------------------------------------------------------------------------------------- the outcome


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_success(status):
    assert http.check(Response(status)).status == status


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(receiver, calling, status):
    calling()
    with Receiver() as other:
        receiver.answer(status, {"Location": other.url + "\x1b[2J"}, b"z" * 100_000)
        with pytest.raises(DeliveryFailed, match=r"redirects are not followed; it points to http://127.0.0.1:") as caught:
            http.check(http.post(receiver.url, data=b"x"))
        assert "\x1b" not in str(caught.value)
        assert not other.requests


def test_gone_is_gone():
    with pytest.raises(ServiceGone, match="HTTP 410 Gone"):
        http.check(Response(410, reason="Gone"))


@pytest.mark.parametrize("status", [101, 400, 401, 404, 408, 425, 500, 502, 503, 504])
def test_all_else_is_tried_again(status):
    with pytest.raises(DeliveryFailed, match=f"HTTP {status}: no \\\\x1b such hook(;|$)") as caught:
        http.check(Response(status, {"Retry-After": "x"}, b"\n  no \x1b such hook\r\nmore"))
    assert (caught.value.after_s, caught.value.slow_down) == (None, False)


def test_html_is_no_reason():
    with pytest.raises(DeliveryFailed, match=r"^HTTP 404; there is nothing at that address"):
        http.check(Response(404, body=b"<!DOCTYPE html>"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("9" * 6000, 86_400.0),
        ("-5", None),
        ("1e99", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        ("soon", None),
        ("Mon, 99 Foo 2024 00:00:00 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
    ],
)
def test_retry_after(value, expected):
    assert http.retry_after_s(value) == expected


def test_retry_after_as_a_date():
    moment = datetime.now(UTC) + timedelta(seconds=100)
    assert 98 <= http.retry_after_s(format_datetime(moment, usegmt=True)) <= 100


@pytest.mark.parametrize(("status", "slow_down"), [(429, True), (503, False)])
def test_what_the_receiver_asks_for_reaches_the_schedule(receiver, calling, status, slow_down):
    calling()
    receiver.answer(status, {"Retry-After": "30"})
    with pytest.raises(DeliveryFailed) as caught:
        http.check(http.post(receiver.url, data=b""))
    assert (caught.value.after_s, caught.value.slow_down) == (30.0, slow_down)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:pass@CI.example.org/x", "ci.example.org:443"),
        ("http://ci.example.org:8080", "ci.example.org:8080"),
        ("http://ci/", "ci:80"),
        ("nonsense", ""),
        ("http://x:port/", ""),
    ],
)
def test_endpoint(url, expected):
    assert http.endpoint(url) == expected


# ------------------------------------------------------------------------------------------------------------ the guard

ODD_FORMS = [
    "0",
    "0x7f000001",
    "2130706433",
    "127.1",
    "017700000001",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "localhost",
    "[::1]",
    "[::ffff:127.0.0.1]",
]


@pytest.fixture
def resolver(monkeypatch):
    """resolver(name=[answers of the first lookup], ...); other names are numbers as getaddrinfo reads them. -> lookups made"""
    made: list[str] = []

    def use(**answers):
        def getaddrinfo(host, port, *args, **kwargs):
            made.append(host)
            known = answers.get(host.partition(".")[0])
            if known is None:
                known = [["::1" if host == "::1" else socket.inet_ntoa(socket.inet_aton(host.removeprefix("::ffff:")))]]
            found = known[min(made.count(host), len(known)) - 1]
            return [
                (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port or 0)) for one in found
            ]

        monkeypatch.setattr(deadline.socket, "getaddrinfo", getaddrinfo)
        return made

    return use


@pytest.mark.parametrize("host", ODD_FORMS)
def test_this_machine_is_barred_in_every_spelling(receiver, calling, resolver, host):
    resolver(localhost=[["::1", "127.0.0.1"]])
    calling(allow_hosts=("external",))
    with pytest.raises(PermanentFailure, match=r"not allowed; allowHosts is `external`|not a valid IDNA label"):
        http.post(f"http://{host}:{receiver.port}/", data=b"")
    assert not receiver.requests


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "100.64.0.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"]
)
def test_special_addresses_are_barred_by_default(calling, host):
    calling()
    with pytest.raises(PermanentFailure, match="to this special address are not allowed"):
        http.post(f"http://{host}/latest/meta-data/", data=b"")


@pytest.mark.parametrize("answers", [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"]])
def test_of_several_addresses_only_the_permitted_are_connected_to(receiver, calling, resolver, answers):
    lookups = resolver(both=[answers])
    calling(allow_hosts=("loopback",))
    assert http.post(f"http://both.example:{receiver.port}/", data=b"").status == 200
    assert lookups == ["both.example"]


def test_the_address_that_was_judged_is_the_one_connected_to(receiver, calling, resolver):
    lookups = resolver(rebinding=[["10.0.0.1"], ["127.0.0.1"]])
    calling(allow_hosts=("loopback",))
    with pytest.raises(PermanentFailure, match=r"rebinding.example \(10.0.0.1\): .* private address"):
        http.post(f"http://rebinding.example:{receiver.port}/", data=b"")
    assert lookups == ["rebinding.example"]
    assert not receiver.requests


def test_a_name_of_the_allow_list_before_the_at_sign_opens_nothing(receiver, calling):
    calling(allow_hosts=("*.corp.example",))
    with pytest.raises(PermanentFailure):
        http.post(f"http://ok.corp.example@127.0.0.1:{receiver.port}/", data=b"")
    assert not receiver.requests


# ------------------------------------------------------------------------------------------------------------- proxies


def test_the_calls_proxy_carries_the_request_and_looks_the_name_up(receiver, calling):
    calling(proxy=receiver.url, allow_hosts=("external",))
    assert http.post("http://user:secret@ci.example.org/hook", data=b"x").status == 200
    [request] = receiver.requests
    assert request.path == "http://ci.example.org/hook"
    assert request.headers["Host"] == "ci.example.org"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "169.254.169.254", "[::1]"])
def test_what_is_barred_is_not_asked_of_the_proxy_either(receiver, calling, host):
    calling(proxy=receiver.url, allow_hosts=("external",))
    with pytest.raises(PermanentFailure, match="allowHosts"):
        http.post(f"http://{host}/", data=b"")
    assert not receiver.requests


def test_a_proxy_that_refuses_the_tunnel(raw_server, calling):
    calling(proxy=raw_server(lambda connection: connection.sendall(b"HTTP/1.1 407 Who Are You\r\n\r\n")))
    with pytest.raises(DeliveryFailed, match="407 Who Are You"):
        http.post("https://ci.example.org/", data=b"")


# ----------------------------------------------------------------------------------------------------------------- TLS


def test_tls_with_a_bundle_of_ones_own(tls, calling):
    calling(ca_bundle=str(tls.ca_bundle))
    with Receiver(tls=tls.context) as receiver:
        assert http.post(receiver.url, data=b"x").status == 200
        assert http.post(receiver.url.replace("127.0.0.1", "localhost"), data=b"x").status == 200
        assert len(receiver.requests) == 2


def test_an_unknown_authority_is_not_trusted(tls, calling):
    call = calling()
    with Receiver(tls=tls.context) as receiver:
        with pytest.raises(DeliveryFailed, match=r"certificate of 127.0.0.1:\d+ is not accepted: .*; oberon.caBundle"):
            http.post(receiver.url, data=b"x")
        assert not receiver.requests
    assert call.exchanges[0].status is None


def test_a_bundle_does_not_outlive_its_call(tls, calling):
    with Receiver(tls=tls.context) as receiver:
        calling(ca_bundle=str(tls.ca_bundle))
        http.post(receiver.url, data=b"x")
        calling()
        with pytest.raises(DeliveryFailed, match="is not accepted"):
            http.post(receiver.url, data=b"x")


def test_a_certificate_for_another_host(calling, tmp_path):
    context, bundle = certified(tmp_path, "other.example")
    calling(ca_bundle=bundle)
    with Receiver(tls=context) as receiver, pytest.raises(DeliveryFailed, match=r"not valid for '127.0.0.1'"):
        http.post(receiver.url, data=b"x")


def test_a_certificate_that_has_run_out(calling, tmp_path):
    context, bundle = certified(tmp_path, "127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1))
    calling(ca_bundle=bundle)
    with Receiver(tls=context) as receiver, pytest.raises(DeliveryFailed, match="not accepted: certificate has expired"):
        http.post(receiver.url, data=b"x")


def test_a_certificate_that_nobody_signed(tls, calling, tmp_path):
    authority = trustme.CA()
    pem = tmp_path / "own.pem"
    pem.write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    calling(ca_bundle=str(tls.ca_bundle))
    with Receiver(tls=context) as receiver, pytest.raises(DeliveryFailed, match="not accepted: self-signed certificate"):
        http.post(receiver.url, data=b"x")


def certified(tmp_path, name, **how):
    """(a server's context, the path of the bundle that vouches for it) for a host `name`."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **how).configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    return context, str(bundle)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
def test_tls_before_1_2_is_not_spoken(calling, tmp_path, version):
    context, bundle = certified(tmp_path, "127.0.0.1")
    willing = ssl.create_default_context(cafile=bundle)
    for one in (context, willing):
        one.minimum_version = one.maximum_version = version
        one.set_ciphers("ALL:@SECLEVEL=0")
    calling(ca_bundle=bundle)
    with Receiver(tls=context) as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port)) as plain:
            willing.wrap_socket(plain, server_hostname="127.0.0.1").close()  # it is spoken by those who will
        with pytest.raises(DeliveryFailed, match=r"TLS with 127.0.0.1:\d+ failed: .*PROTOCOL"):
            http.post(receiver.url, data=b"x")
        assert not receiver.requests


def test_a_replaced_bundle_counts_at_once(tls, calling, tmp_path):
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    calling(ca_bundle=str(bundle))
    with Receiver(tls=tls.context) as receiver:
        with pytest.raises(DeliveryFailed):
            http.post(receiver.url, data=b"x")
        bundle.write_bytes(tls.ca_bundle.read_bytes())
        assert http.post(receiver.url, data=b"x").status == 200


def test_the_machines_own_bundle_counts_beside_a_folder_without_hashes(tls, calling, tmp_path, monkeypatch):
    folder = tmp_path / "certs"
    folder.mkdir()
    bundle = folder / "ca-bundle.crt"  # where Red Hat's is, and `cert.pem` links to it
    trustme.CA().cert_pem.write_to_path(str(bundle))
    own = ssl.get_default_verify_paths()._replace(openssl_cafile=str(bundle), openssl_capath=str(folder))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: own)
    calling()
    with Receiver(tls=tls.context) as receiver:
        with pytest.raises(DeliveryFailed, match="is not accepted"):
            http.post(receiver.url, data=b"x")
        bundle.write_bytes(tls.ca_bundle.read_bytes())
        assert http.post(receiver.url, data=b"x").status == 200


@pytest.mark.parametrize("content", [None, b"not a certificate"])
def test_an_unusable_bundle_names_its_setting(calling, tmp_path, content):
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_bytes(content)
    calling(ca_bundle=str(bundle))
    with pytest.raises(DeliveryFailed, match=r"oberon.caBundle .*ca.pem cannot be used: "):
        http.post("https://127.0.0.1:9/", data=b"x")


def test_tls_where_none_is_spoken(receiver, calling):
    calling()
    with pytest.raises(DeliveryFailed, match=r"TLS with 127.0.0.1:\d+ failed"):
        http.post(receiver.url.replace("http:", "https:"), data=b"x")


# -------------------------------------------------------------------------------------------------------- no connection


def test_nobody_listens(calling):
    call = calling()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DeliveryFailed, match=f"cannot connect to 127.0.0.1:{port}: connection refused") as caught:
        http.post(f"http://127.0.0.1:{port}/", data=b"x")
    assert not caught.value.slow_down
    [exchange] = call.exchanges
    assert (exchange.status, exchange.response) == (None, "")


def test_a_name_that_is_not_there(calling):
    calling()
    with pytest.raises(DeliveryFailed, match=r"cannot find nowhere.invalid: "):
        http.post("http://nowhere.invalid/", data=b"x")


def test_a_resolver_that_never_answers(calling, black_hole):
    calling(0.2)
    with ending_by(0.2), pytest.raises(DeliveryFailed, match=r"timed out after 0.[12] s, looking up slow.example") as caught:
        http.post("http://slow.example/", data=b"x")
    assert caught.value.slow_down
    assert black_hole.asked == ["slow.example"]


def test_an_answer_made_for_terminals(raw_server, calling):
    said = b"HTTP/1.1 500 \x1b[2J\x00\xff\r\nX-Title: \x1b]0;pwn\x07\xfe\r\nX-\xff: \x9b1m\r\n\r\n\x1b[31m\x00\xff\xc3\x28"
    call = calling()
    with pytest.raises(DeliveryFailed) as caught:
        http.check(http.post(raw_server(lambda connection: connection.sendall(said)), data=b"x"))
    shown = call.exchanges[0].response
    assert str(caught.value).isprintable()
    assert all(line.isprintable() for line in shown.split("\n"))
    assert "\\x1b[2J\\x00" in str(caught.value)
    assert "\\x1b[31m\\x00\ufffd\ufffd(" in str(caught.value)
    assert "X-Title: \\x1b]0;pwn\\x07" in shown


def test_the_record_is_bounded_and_safe_on_a_terminal(receiver, calling):
    call = calling()
    receiver.answer(200, {"X-Title": "\x1b]0;pwn\x07"}, b"\x1b[2J\x00\xff\r\nnext" + b"z" * 20_000)
    http.post(receiver.url, data=b"y" * 20_000)
    [exchange] = call.exchanges
    for said in (exchange.request, exchange.response):
        assert len(said.encode()) <= KEPT_BYTES
        assert all(line.isprintable() for line in said.split("\n"))
    assert "\\x1b[2J\\x00\ufffd\nnext" in exchange.response
