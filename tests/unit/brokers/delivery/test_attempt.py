import sys
import textwrap
import time

import pytest

from brokers.config import Configuration, Entry
from brokers.delivery.attempt import attempt
from brokers.delivery.outcome import Verdict
from brokers.secrets import resolver
from payload.build import copied

COMPOSED = {"commits": [{"message": "x"}], "repository": {}, "oberon": {}}


@pytest.fixture(autouse=True)
def _restored():
    streams = sys.stdout, sys.stderr
    yield
    sys.stdout, sys.stderr = streams


@pytest.fixture
def call(tmp_path):
    """call(body of handle, settings) -> Outcome, through a broker file as an admin would write it."""
    folder = tmp_path / "brokers"
    folder.mkdir(mode=0o755)

    def run(body, *, fields="", timeout_s=None, environ=None, composed=None, **settings):
        path = folder / "probe.py"
        path.write_text(
            "import sys, time\nfrom brokers import *\n\n\nclass Probe(BaseBroker):\n"
            f"    fields = [{fields}]\n\n    def handle(self, payload):\n" + textwrap.indent(textwrap.dedent(body), " " * 8)
        )
        path.chmod(0o644)
        entries = [
            Entry(None, "brokerPath", str(folder), "f"),
            Entry("ci", "broker", "probe", "f"),
            *(Entry("ci", key, value, "the-file") for key, value in settings.items()),
        ]
        configuration = Configuration.parse(entries)
        composed = composed or copied(COMPOSED)
        return attempt(configuration.services[0], configuration, composed, resolver(environ or {}), timeout_s=timeout_s)

    return run


@pytest.mark.parametrize(
    ("body", "verdict", "reason"),
    [
        ("return", Verdict.DELIVERED, ""),
        ("raise RuntimeError('boom')", Verdict.RETRY, "RuntimeError: boom"),
        ("sys.exit(3)", Verdict.RETRY, "SystemExit: 3"),
        ("raise KeyboardInterrupt", Verdict.RETRY, "KeyboardInterrupt"),
        ("raise GeneratorExit", Verdict.RETRY, "GeneratorExit"),
        ("raise RetryLater('busy')", Verdict.RETRY, "busy"),
        ("raise PermanentFailure('no such channel')", Verdict.DEAD, "no such channel"),
        ("raise RuntimeError('two\\nlines \\x1b[2J')", Verdict.RETRY, "RuntimeError: two\\x0alines \\x1b[2J"),
    ],
)
def test_whatever_a_broker_does_becomes_an_outcome(call, body, verdict, reason):
    outcome = call(body)
    assert (outcome.verdict, outcome.reason) == (verdict, reason)


def test_a_returned_string_is_the_note(call):
    assert call("return '200 OK'").note == "200 OK"


def test_the_traceback_of_an_unexpected_error_is_kept(call):
    outcome = call("raise RuntimeError('boom')")
    assert 'raise RuntimeError("boom")' in outcome.details["traceback"].replace("'", '"')


def test_what_the_broker_prints_is_kept_and_not_shown(call, capfd):
    outcome = call("print('hello')\nprint('trouble', file=sys.stderr)")
    assert outcome.details["printed"] == "hello\ntrouble\n"
    assert capfd.readouterr() == ("", "")


def test_retry_later_carries_its_delay(call):
    assert call("raise RetryLater(after_s=17)").after_s == 17


def test_the_payload_is_the_brokers_to_take_apart(call):
    composed = {"commits": [], "repository": {}, "oberon": {"refs": [], "filtered": {"by": ["paths"], "commits": 2, "refs": 0}}}
    left_out = call("return ''", composed=copied(composed)).note
    assert left_out
    taken_apart = call("payload['oberon'].clear()\npayload.clear()", composed=composed)
    assert (taken_apart.verdict, taken_apart.note) == (Verdict.DELIVERED, left_out)


def test_settings_arrive_in_lower_case_with_secrets_resolved(call):
    outcome = call(
        "return repr(sorted(payload['service'])) + payload['service']['password'][::-1] + payload['broker']",
        URL="http://x",
        Password="env:PW",
        environ={"PW": "s3cret"},
    )
    assert outcome.note == "['password', 'url']terc3sprobe"


def test_secrets_are_masked_wherever_they_could_be_kept(call):
    body = """
        print("using", payload["service"]["token"])
        raise RuntimeError("refused: " + payload["service"]["token"])
    """
    outcome = call(body, fields="Field('Token', secret=True)", token="env:T", environ={"T": "hunter2hunter2"})
    assert outcome.reason == "RuntimeError: refused: ****"
    assert "hunter2" not in repr(outcome)
    assert outcome.details["printed"] == "using ****\n"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"prt": "1"}, "service.ci.prt in the-file: there is no such setting; did you mean Port?"),
        ({"port": "many", "url": "http://x"}, "service.ci.port in the-file: 'many' is not right; write a whole number"),
        ({"port": "1"}, "service.ci.URL in f: the broker probe needs it; set it: where to"),
        (
            {"url": "env:NO", "timeout": "soon"},
            "service.ci.timeout in the-file: 'soon' is not right; write a number with a unit, as 30s, 10m, 2h or 3d",
        ),
    ],
)
def test_a_wrong_setting_fails_the_attempt_with_the_remedy(call, settings, reason):
    outcome = call("return", fields="Field('Port', type='integer'), Field('URL', required=True, help='where to')", **settings)
    assert (outcome.verdict, outcome.reason) == (Verdict.RETRY, reason)


def test_the_transport_sees_the_deadline_of_the_service(call):
    outcome = call("from brokers.transport.call import current\nreturn str(round(current().remaining_s()))", timeout="7s")
    assert outcome.note == "7"


def test_a_disabled_service_is_skipped(call):
    assert call("return", enabled="no").verdict is Verdict.SKIPPED


def test_the_duration_is_measured(call):
    began = time.monotonic()
    outcome = call("time.sleep(0.05)")
    assert 0.05 <= outcome.duration_s <= time.monotonic() - began


def test_a_secret_is_masked_as_an_address_a_form_and_json_write_it(call):
    body = """
        import json, urllib.parse
        token = payload["service"]["token"]
        print(urllib.parse.urlencode({"t": token}), json.dumps(token))
    """
    outcome = call(body, fields="Field('Token', secret=True)", token='with "quotes" & more')
    assert outcome.details["printed"] == 't=**** "****"\n'


def test_a_secret_cannot_be_cut_or_escaped_into_the_open(call):
    body = "raise RuntimeError('x' * 480 + payload['service']['token'])"
    outcome = call(body, fields="Field('Token', secret=True)", token="env:T", environ={"T": "line-one-secret\nline-two-secret"})
    assert "line-one" not in repr(outcome)
    assert "line-two" not in repr(outcome)


@pytest.mark.parametrize(
    ("settings", "environ"),
    [
        pytest.param({"whatever": "env:W"}, {"W": "hunter2hunter2"}, id="what was a reference, field or not"),
        pytest.param({"password": "hunter2hunter2"}, {}, id="what sounds like one, in a broker without fields"),
        pytest.param({"url": "http://ann:hunter2hunter2@ci.example.org/"}, {}, id="a login in a URL"),
        pytest.param({"url": "http://ann:hunter2%68unter2@ci.example.org/"}, {}, id="a login in a URL, encoded"),
    ],
)
def test_what_must_not_be_kept_is_known_without_a_field_too(call, settings, environ):
    body = "from urllib.parse import unquote\nraise RuntimeError(repr(payload['service']) + unquote(repr(payload['service'])))"
    outcome = call(body, environ=environ, **settings)
    assert "hunter2" not in repr(outcome)
    assert "****" in outcome.reason


def test_a_mistyped_address_is_not_quoted_for_it_may_hold_a_login(call):
    outcome = call("return", fields="Field('URL', type='url')", url="ttps://bob:hunter2@ci.example.org/")
    assert "hunter2" not in repr(outcome)


@pytest.mark.parametrize("after", ["'60'", "float('nan')", "float('inf')", "[]"])
def test_a_wait_that_is_no_number_of_seconds_is_left_to_the_schedule(call, after):
    assert call(f"raise RetryLater(after_s={after})").after_s is None
