"""Fixtures for tests of brokers, which pytest finds by itself where Oberon is installed (entry point `pytest11`).

    def test_it_tells_of_every_push(each_payload, receiver):
        each_payload["service"] = {"url": receiver.url}
        Chat().handle(each_payload)
        [request] = receiver.requests

pytest imports this module whenever it starts, for whatever tests: so it imports nothing but pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from brokers.testing.mailbox import Mailbox
    from brokers.testing.receiver import Receiver

USUAL = "git-push"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `each_payload` once for each sample."""
    if "each_payload" in metafunc.fixturenames:
        from payload import samples

        metafunc.parametrize("each_payload", samples.of_today(), indirect=True)


@pytest.fixture
def sample_payload(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A payload of two commits pushed to a git branch: the test's own, to change as it likes.

    `@pytest.mark.parametrize("sample_payload", ["git-tag"], indirect=True)` takes other samples; `payload.samples` has them.
    """
    return _payload(getattr(request, "param", USUAL))


@pytest.fixture
def each_payload(request: pytest.FixtureRequest) -> dict[str, Any]:
    """One payload for each kind of push - branch made, moved, rewound, deleted, tags, merge, bookmark ... - and an alert.

    The test runs once with each.
    """
    return _payload(request.param)


def _payload(name: str) -> dict[str, Any]:
    from payload import samples

    return samples.load(name)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An HTTP server on 127.0.0.1 that keeps every request: `brokers.testing.Receiver`, listening."""
    from brokers.testing.receiver import Receiver

    with Receiver() as server:
        yield server


@pytest.fixture
def smtp_server() -> Iterator[Mailbox]:
    """A mail server on 127.0.0.1 that keeps every mail: `brokers.testing.Mailbox`, listening. Needs aiosmtpd."""
    from brokers.testing.mailbox import Mailbox

    with Mailbox() as server:
        yield server
