"""Whether many threads at once may call a broker: what one of them sends reaches no other's service."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from brokers.base import BaseBroker
from brokers.testing.conformance import made_up
from brokers.testing.conformance.checks import ANSWER, TIMEOUT_S, USUAL, Given, payload_of, unreachable
from brokers.testing.conformance.made_up import Settings
from brokers.testing.conformance.result import Result, Verdict
from brokers.testing.conformance.trial import GRACE_S, Ended, call, called
from brokers.testing.overheard import overhearing
from brokers.testing.receiver import ReceivedRequest, Receiver

THREADS = 16
CALLS = 2  # of each: what the first answer left behind shows in the second request
ANSWER_AFTER_S = 0.01  # so that the calls overlap
SWITCH_S = 1e-5  # so that threads change places in the midst of a line


@dataclass(slots=True)
class _Lane:
    """One thread's own service, settings and payload."""

    receiver: Receiver
    settings: Settings
    mark: str
    """In its payload, and in the cookie that its service sets."""
    payload: dict[str, Any]
    ended: list[Ended] = field(default_factory=list)


def threads(broker: type[BaseBroker], given: Given) -> Result:
    """Whether 16 threads at once end as one alone does, and mix up nothing."""
    with overhearing(loopback_only=True), _listening(THREADS) as receivers:
        lanes = [_lane(broker, given, number, receiver) for number, receiver in enumerate(receivers)]
        alone = called(broker, lanes[0].payload, lanes[0].settings.values, TIMEOUT_S)
        if skipped := unreachable(broker, "threads", alone):
            return skipped
        asked = len(lanes[0].receiver.requests)
        stuck = _run(broker, lanes)
        requests = [lane.receiver.requests for lane in lanes]
    told, remedy = next(_flaws(lanes, requests, alone, stuck, asked), ("", ""))
    if told:
        return Result(broker.name, "threads", Verdict.FAIL, told, remedy)
    made = sum(map(len, requests)) - asked
    mixed = f"{made} requests, none mixed up" if made else "all ended as one alone"
    return Result(broker.name, "threads", Verdict.PASS, f"{THREADS} at once, {CALLS} calls each: {mixed}")


@contextmanager
def _listening(count: int) -> Iterator[list[Receiver]]:
    """So many servers, which are stopped all at once: each takes its time to hear of it."""
    receivers = [Receiver() for _ in range(count)]
    try:
        yield [receiver.start() for receiver in receivers]
    finally:
        stopping = [threading.Thread(target=receiver.stop) for receiver in receivers]
        for each in stopping:
            each.start()
        for each in stopping:
            each.join()


def _lane(broker: type[BaseBroker], given: Given, number: int, receiver: Receiver) -> _Lane:
    mark = f"mark-{number:02d}-of-a-thread"
    headers = {**ANSWER["headers"], "Set-Cookie": f"oberon-check={mark}; Path=/"}
    receiver.answer(**ANSWER | {"headers": headers, "delay_s": ANSWER_AFTER_S})
    payload = payload_of(USUAL)
    payload["user"] = payload["repository"]["name"] = mark
    for commit in payload["commits"]:
        commit["message"] = commit["author"] = mark
    return _Lane(receiver, made_up.settings(broker, given, receiver.url, f"thread-{number:02d}"), mark, payload)


def _run(broker: type[BaseBroker], lanes: Sequence[_Lane]) -> int:
    """Call the broker from all threads at once; how many did not come to their end."""
    together = threading.Barrier(len(lanes))

    def calls(lane: _Lane) -> None:
        together.wait()
        for _ in range(CALLS):
            ended = Ended()
            call(broker, lane.payload, lane.settings.values, TIMEOUT_S, ended)
            lane.ended.append(ended)

    running = [threading.Thread(target=calls, args=(lane,), daemon=True) for lane in lanes]
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        for thread in running:
            thread.start()
        for thread in running:
            thread.join(CALLS * (TIMEOUT_S + GRACE_S))
    finally:
        sys.setswitchinterval(before_s)
    return sum(thread.is_alive() for thread in running)


def _flaws(
    lanes: Sequence[_Lane], requests: Sequence[Sequence[ReceivedRequest]], alone: Ended, stuck: int, asked: int
) -> Iterator[tuple[str, str]]:
    """(what was found, what to change), the plainest first."""
    share_nothing = "keep nothing in the class or the module that one call writes: `self` and the payload are the call's own"
    if stuck:
        yield f"{stuck} of {THREADS} threads did not end", "keep no lock while a request is made"
    for lane, came in zip(lanes, requests, strict=True):
        others = [other for other in lanes if other is not lane]
        strange = {other.mark for other in others} | {secret for other in others for secret in other.settings.secrets.values()}
        strange -= set(lane.settings.secrets.values())
        for request in came:
            if any(mark in (request.headers.get("Cookie") or "") for mark in strange):
                session = "make the session with self.get_local('session', requests.Session): each thread has its own then"
                yield "a cookie that one thread's service set was sent to another's", session
            words = f"{request.path}\n{request.headers}\n{request.body.decode('utf-8', 'replace')}"
            if any(mark in words for mark in strange):
                yield "what one thread was to send came to another's service", share_nothing
        for ended in lane.ended:
            if any(mark in ended.note for mark in strange):
                yield "the note of one thread tells of another's push", share_nothing
            if ended.error is not None and alone.error is None:
                yield f"called alone it returns, and among {THREADS} threads it fails: {ended.told}", share_nothing
        if asked and not came:
            yield "a thread's service was sent nothing", share_nothing
