"""pytest's plugin, as authors of brokers get it."""

import subprocess
import sys

import pytest

from payload import samples

# pytest_load_initial_conftests comes after the plugins of entry points, and before any test's own imports.
TESTS = """
import sys
import pytest
from payload import samples

def test_nothing_heavy_was_imported(request):
    assert request.config.pluginmanager.hasplugin("brokers.testing.fixtures") or request.config.pluginmanager.hasplugin("oberon")
    ours = {name for name in sys.modules if name.partition(".")[0] in ("brokers", "githooks", "hghooks")}
    assert ours == {"brokers", "brokers.testing", "brokers.testing.fixtures"}
    assert not {"aiosmtpd", "requests", "urllib3", "mercurial", "dulwich", "http.server"} & set(sys.modules)

def test_a_payload_of_one_s_own(sample_payload):
    sample_payload.clear()

def test_another_one(sample_payload):
    assert sample_payload == samples.load("git-push")

@pytest.mark.parametrize("sample_payload", ["hg-bookmark"], indirect=True)
def test_a_chosen_one(sample_payload):
    assert sample_payload == samples.load("hg-bookmark")

def test_each_kind(each_payload, receiver):
    import urllib.request
    urllib.request.urlopen(receiver.url, each_payload["oberon"]["event"].encode()).close()
    [request] = receiver.requests
    assert request.body.decode() == each_payload["oberon"]["event"]
    assert "aiosmtpd" not in sys.modules

def test_a_mail(smtp_server):
    import smtplib
    with smtplib.SMTP(smtp_server.host, smtp_server.port) as client:
        client.sendmail("a@example.org", ["b@example.org"], "Subject: hello\\n\\nyou")
    [mail] = smtp_server.wait(1)
    assert mail.message["Subject"] == "hello"
"""


def test_an_author_s_tests_in_a_folder_of_their_own(tmp_path):
    (tmp_path / "test_own.py").write_text(TESTS)
    argv = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "test_own.py"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"{5 + len(samples.of_today())} passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["sample_payload", "each_payload", "receiver", "smtp_server"])
def test_pytest_lists_each_fixture_with_what_it_is(name):
    from brokers.testing import fixtures

    assert getattr(fixtures, name).__doc__


def test_this_repository_s_own_fixtures_come_first(request, receiver):
    assert request._fixturemanager.getfixturedefs("receiver", request.node)[-1].func.__module__.endswith("conftest")
