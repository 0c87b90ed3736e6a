"""How an HTTP service fails, and the state a delivery is in then: one table for the tests of all brokers that speak HTTP.

@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_failures(receiver, failure):
    assert_fails_so(failure, receiver, {"broker": "jenkins", "url": receiver.url, ...})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from brokers.config import Configuration, Entry
from brokers.delivery.attempt import attempt
from brokers.delivery.outcome import Outcome, Verdict
from brokers.testing import Receiver
from payload import samples


@dataclass(frozen=True)
class Failure:
    """An answer, and what must come of it."""

    status: int
    reason: str
    """A part of the reason that is told."""
    verdict: Verdict = Verdict.RETRY
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    after_s: float | None = None
    slow_down: bool = False
    reached: bool = True

    def __str__(self) -> str:
        return str(self.status)


FAILURES = (
    Failure(401, "does not know the login", body=b"Bad credentials\n"),
    Failure(403, "does not allow it"),
    Failure(404, "look at the address"),
    Failure(410, "gone for good", Verdict.DEAD),
    Failure(429, "HTTP 429", headers={"Retry-After": "120"}, after_s=120.0, slow_down=True),
    Failure(302, "redirects are not followed", headers={"Location": "https://elsewhere.example.org/"}),
    Failure(500, "HTTP 500", body=b"<html>Sorry</html>", reached=False),
    # Two lengths: an answer that nobody can tell the end of.
    Failure(200, "gave no answer that is HTTP", headers={"Content-Length": "999"}, body=b"{}", reached=False),
    Failure(503, "HTTP 503", headers={"Retry-After": "30"}, after_s=30.0, reached=False),
)


def outcome_of(settings: Mapping[str, str], payload: Mapping[str, Any] | None = None, **options: Any) -> Outcome:
    """What one real attempt comes to with the service configured as `settings` (`broker` among them); `payload`: else git-push."""
    configuration = Configuration.parse(Entry("it", key, value, "config") for key, value in settings.items())
    [service] = configuration.services
    sample = payload or samples.load("git-push")
    common = {key: value for key, value in sample.items() if key not in ("broker", "service")}
    return attempt(service, configuration, common, lambda reference: reference, **options)


def assert_fails_so(
    failure: Failure, receiver: Receiver, settings: Mapping[str, str], payload: Mapping[str, Any] | None = None
) -> None:
    """With each answer of `receiver` as `failure` says, the attempt ends as it says."""
    receiver.answer(failure.status, failure.headers, failure.body, times=None)
    outcome = outcome_of(settings, payload)
    assert receiver.requests, outcome.reason
    assert failure.reason in outcome.reason
    assert (outcome.verdict, outcome.after_s, outcome.slow_down, outcome.reached) == (
        failure.verdict, failure.after_s, failure.slow_down, failure.reached,
    )  # fmt: skip


def assert_not_understood(receiver: Receiver, settings: Mapping[str, str], body: bytes) -> None:
    """A success with `body`, which is not what the service answers, is none: the attempt is made again, and the reason says where to look."""
    receiver.answer(200, body=body)
    outcome = outcome_of(settings)
    assert outcome.verdict is Verdict.RETRY
    assert "look at the address" in outcome.reason
