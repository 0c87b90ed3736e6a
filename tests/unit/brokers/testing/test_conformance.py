"""Each check finds what it is there for, and lets pass what is well."""

import textwrap
import types

import pytest

from brokers import loader, values
from brokers.errors import ConfigError
from brokers.testing.conformance import checks, made_up
from brokers.testing.conformance.result import Verdict
from brokers.testing.conformance.threads import threads

CHECKS = types.SimpleNamespace(
    fields=checks.fields, payloads=checks.payloads, secrets=checks.secrets, deadline=checks.deadline, threads=threads
)
FIELDS = """
import json, logging, time
import requests
from brokers import BaseBroker, Field, PermanentFailure, RetryLater
from brokers.transport import http

session = requests.Session()
seen = {}


class Base(BaseBroker):
    abstract = True
    fields = [Field("URL", type="url", required=True, help="where"), Field("Token", secret=True, help="which")]


"""
WELL = """
class Own(Base):
    def handle(self, payload):
        service = payload["service"]
        headers = {"Authorization": "Bearer " + service["token"]}
        http.check(http.post(service["url"], data=payload["user"].encode(), headers=headers))
        return payload["user"]
"""


@pytest.fixture
def broker(tmp_path):
    def load(source):
        file = tmp_path / "own.py"
        file.write_text(FIELDS + textwrap.dedent(source))
        return loader.load_file(str(file))["own"]

    return load


def handling(body):
    return (
        "class Own(Base):\n    def handle(self, payload):\n" + textwrap.indent(textwrap.dedent(body).strip(), "        ") + "\n"
    )


@pytest.mark.parametrize("check", vars(CHECKS))
def test_one_that_does_it_well_passes(broker, check):
    result = getattr(CHECKS, check)(broker(WELL), {})
    assert (result.broker, result.check, result.verdict, result.remedy) == ("own", check, Verdict.PASS, "")


BAD = [
    ("fields", "class Own(BaseBroker):\n    def handle(self, payload): pass", "declares none", "fields = ()"),
    (
        "fields",
        "class Own(BaseBroker):\n    fields = [Field('API_Key', help='x')]\n    def handle(self, payload): pass",
        "not declared secret: API_Key",
        "Field('API_Key', secret=True, ...)",
    ),
    (
        "fields",
        "class Own(BaseBroker):\n    fields = [Field('Room')]\n    def handle(self, payload): pass",
        "without help: Room",
        "help",
    ),
    ("payloads", handling("payload['commits'][0]"), "git-tag (IndexError", "line 18"),
    ("payloads", handling("payload['service']['nosuch']"), "14 of 14 fail", "line 18"),
    (
        "payloads",
        handling("""
        error = KeyError("first")
        try:
            raise error
        except KeyError:
            raise OSError("then") from error
        finally:
            error.__cause__ = error
     """),
        "14 of 14 fail",
        "line 22",
    ),
    ("payloads", handling("raise SystemExit"), "SystemExit", "line 18"),
    (
        "secrets",
        handling("s = payload['service']\nhttp.post(s['url'] + '?t=' + s['token'], data=b'')"),
        "token in the address",
        "",
    ),
    (
        "secrets",
        handling("s = payload['service']\nrequests.get(s['url'], params={'t': s['token']}, timeout=3)"),
        "the address",
        "",
    ),
    ("secrets", handling("logging.getLogger('own').info('with %s', payload['service']['token'])"), "token in the log", ""),
    ("secrets", handling("print(payload['service'])"), "token in what it prints", ""),
    ("secrets", handling("return payload['service']['token']"), "token in the note", ""),
    ("secrets", handling("raise PermanentFailure(payload['service']['token'])"), "token in the reason", ""),
    (
        "secrets",
        handling("http.post(payload['service']['url'], data=json.dumps(payload).encode())"),
        "the whole of payload['service']",
        "",
    ),
    ("deadline", handling("requests.get(payload['service']['url'], timeout=0.5)"), "still ran", "brokers.transport"),
    ("threads", handling("session.get(payload['service']['url'], timeout=5)"), "a cookie", "self.get_local"),
    (
        "threads",
        handling(
            "seen['who'] = payload\ntime.sleep(0.01)\nhttp.post(payload['service']['url'], data=seen['who']['user'].encode())"
        ),
        "came to another's service",
        "keep nothing in the class",
    ),
    ("threads", handling("seen['who'] = payload\ntime.sleep(0.01)\nreturn seen['who']['user']"), "the note of one thread", ""),
    (
        "threads",
        handling("if seen.get('busy'): raise OSError('busy')\nseen['busy'] = True\ntime.sleep(0.01)\nseen['busy'] = False"),
        "called alone it returns, and among 16 threads it fails: OSError: busy",
        "",
    ),
]


@pytest.mark.parametrize(("check", "source", "told", "remedy"), BAD, ids=[f"{row[0]}-{number}" for number, row in enumerate(BAD)])
def test_what_is_wrong_is_found_with_its_remedy(broker, check, source, told, remedy):
    result = getattr(CHECKS, check)(broker(source), {})
    assert result.verdict is Verdict.FAIL
    assert told in result.told
    assert result.remedy
    assert remedy in result.remedy


@pytest.mark.parametrize(
    "body",
    [
        "raise PermanentFailure('not for tags')",
        "raise RetryLater(after_s=5)",
        "http.check(http.post('http://user:pw@127.0.0.1:1/', data=b'')) if payload['user'] == 'nobody' else None",
    ],
)
def test_what_the_api_has_for_it_is_no_failure(broker, body):
    assert checks.payloads(broker(handling(body)), {}).verdict is Verdict.PASS


SKIPPED = [
    (handling("http.post('http://192.0.2.7/', data=b'')"), "it goes to 192.0.2.7", "make the address a setting"),
    (handling("http.post('http://127.0.0.1:1/', data=b'')"), "nobody listens there", "give a server"),
]


@pytest.mark.parametrize("check", ["payloads", "secrets", "deadline"])
@pytest.mark.parametrize(("source", "told", "remedy"), SKIPPED)
def test_what_cannot_be_looked_at_is_skipped_with_a_way(broker, check, source, told, remedy):
    result = getattr(CHECKS, check)(broker(source), {})
    assert result.verdict is Verdict.SKIPPED
    assert told in result.told
    assert remedy in result.remedy


def test_an_address_keeps_its_login_path_and_query_and_loses_its_host(broker):
    found = made_up.settings(
        broker(WELL),
        {"URL": "https://ann:s3cret-pass@hooks.example.org/a/b?c=d#e", "token": "as given"},
        "http://127.0.0.1:1/",
        "tag",
    )
    assert found.values == {"url": "http://ann:s3cret-pass@127.0.0.1:1/a/b?c=d", "token": "as given"}
    assert found.secrets == {"token": "as given", "url": "s3cret-pass"}


def test_an_address_that_is_secret_may_be_called_and_not_told(broker):
    hook = "class Own(BaseBroker):\n    fields = [Field('URL', type='url', secret=True, required=True, help='where')]\n"
    assert checks.secrets(
        broker(hook + "    def handle(self, payload):\n        http.post(payload['service']['url'], data=b'')"), {}
    ).told == ("seen in no address, log, note or reason: url")
    loud = checks.secrets(broker(hook + "    def handle(self, payload):\n        return payload['service']['url']"), {})
    assert loud.told == "url in the note"


def test_without_fields_an_address_is_set_and_what_is_given(broker):
    source = "class Own(BaseBroker):\n    def handle(self, payload): print(payload['service']['password'])"
    assert checks.payloads(broker(source), {}).verdict is Verdict.FAIL
    assert checks.payloads(broker(source), {"password": "hush hush"}).verdict is Verdict.PASS
    assert checks.secrets(broker(source), {"password": "hush hush"}).told == "password in what it prints"
    assert checks.secrets(broker(source), {}).verdict is Verdict.SKIPPED


def test_a_wrong_setting_is_the_caller_s(broker):
    with pytest.raises(ConfigError, match=r"there is no such setting"):
        checks.payloads(broker(WELL), {"nosuch": "x"})


@pytest.mark.parametrize("name", sorted(set(values.TYPES) - {"url", "choice"}))
def test_a_required_field_of_any_type_can_be_made_up(broker, name):
    source = (
        f"class Own(BaseBroker):\n    fields = [Field('X', type={name!r}, required=True)]\n    def handle(self, payload): pass"
    )
    assert "x" in made_up.settings(broker(source), {}, "http://127.0.0.1:1/", "tag").values
