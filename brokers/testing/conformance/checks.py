"""The checks, in the order in which they are made: each takes a broker and the settings given, and tells what it found."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from brokers.base import BaseBroker
from brokers.secrets import SECRET_WORDS, spellings
from brokers.testing.conformance import made_up
from brokers.testing.conformance.made_up import Settings
from brokers.testing.conformance.result import Result, Verdict
from brokers.testing.conformance.trial import GRACE_S, Ended, called
from brokers.testing.drip import Drip
from brokers.testing.overheard import overhearing
from brokers.testing.receiver import ReceivedRequest, Receiver
from payload import samples

TIMEOUT_S = 5.0
DEADLINE_S = 1.0
USUAL = "git-push"
ANSWER: dict[str, Any] = {"headers": {"Content-Type": "application/json"}, "body": b"{}", "times": None}
GIVE_ADDRESS = "make the address a setting (`Field('URL', type='url')`), so that a test can lead it elsewhere"
GIVE_SERVER = "give a server of your own, as --set host=127.0.0.1 --set port=8025"

Given = Mapping[str, str]
"""What --set gave: key -> text."""


def payload_of(sample: str) -> dict[str, Any]:
    """A sample, less what belongs to its service."""
    return {key: value for key, value in samples.load(sample).items() if key not in ("broker", "service")}


def fields(broker: type[BaseBroker], _: Given) -> Result:
    """Whether it says which settings it has, and which of them are secret."""
    if not _declares(broker):
        remedy = (
            "list its settings in `fields`, so that they are checked, and its secrets masked; `fields = ()` if there are none"
        )
        return Result(broker.name, "fields", Verdict.FAIL, "declares none: any setting is taken, as it stands", remedy)
    open_secrets = [
        row.name
        for row in broker.fields
        if row.type == "string" and not row.secret and any(word in row.key for word in SECRET_WORDS)
    ]
    if open_secrets:
        remedy = f"write Field({open_secrets[0]!r}, secret=True, ...)"
        return Result(broker.name, "fields", Verdict.FAIL, f"not declared secret: {', '.join(open_secrets)}", remedy)
    helpless = [row.name for row in broker.fields if not row.help]
    if helpless:
        remedy = "say in `help` what it is: `oberon brokers` shows it, and the error where a required one is missing"
        return Result(broker.name, "fields", Verdict.FAIL, f"without help: {', '.join(helpless)}", remedy)
    return Result(broker.name, "fields", Verdict.PASS, ", ".join(row.name for row in broker.fields) or "it has no settings")


def _declares(broker: type[BaseBroker]) -> bool:
    return any("fields" in vars(base) for base in broker.__mro__ if base is not BaseBroker)


def payloads(broker: type[BaseBroker], given: Given) -> Result:
    """Whether it ends as the API has it, whatever was pushed."""
    failed: list[tuple[str, Ended]] = []
    names = samples.of_today()
    with Receiver() as receiver, overhearing(loopback_only=True):
        receiver.answer(**ANSWER)
        settings = made_up.settings(broker, given, receiver.url, "payloads")
        for name in names:
            ended = called(broker, payload_of(name), settings.values, TIMEOUT_S)
            if skipped := unreachable(broker, "payloads", ended):
                return skipped
            if not ended.is_planned or ended.still_runs:
                failed.append((name, ended))
    if failed:
        told = f"{len(failed)} of {len(names)} fail: {', '.join(f'{name} ({ended.told})' for name, ended in failed)}"
        remedy = (
            f"mend handle{_line_of_handle(failed[0][1])}: what a payload may hold is in payload/README.md; "
            "`oberon test --file FILE --sample NAME` tries one"
        )
        return Result(broker.name, "payloads", Verdict.FAIL, told, remedy)
    return Result(broker.name, "payloads", Verdict.PASS, f"{len(names)} kinds of push, {len(receiver.requests)} requests")


def _line_of_handle(ended: Ended) -> str:
    """Where in `handle` it failed, as ` (line 12)`."""
    frames = traceback.walk_tb(ended.error.__traceback__ if ended.error else None)
    lines = [number for frame, number in frames if frame.f_code.co_name == "handle"]
    return f" (line {lines[-1]})" if lines else ""


def unreachable(broker: type[BaseBroker], check: str, ended: Ended) -> Result | None:
    """Why a check that needs an answer cannot be made; None if it can."""
    if ended.elsewhere:
        told = f"it goes to {ended.elsewhere}, and nothing is sent to other machines here"
        return Result(broker.name, check, Verdict.SKIPPED, told, GIVE_ADDRESS)
    refused = isinstance(ended.error, ConnectionRefusedError) or "connection refused" in str(ended.error).lower()
    if refused and not ended.still_runs:
        return Result(broker.name, check, Verdict.SKIPPED, f"nobody listens there: {ended.told}", GIVE_SERVER)
    return None


# ------------------------------------------------------------------------------------------------------------- secrets


def secrets(broker: type[BaseBroker], given: Given) -> Result:
    """Whether its secrets stay out of addresses, the log, what it prints, its notes and its reasons, when all is well or not."""
    with Receiver() as receiver, overhearing(loopback_only=True) as overheard:
        settings = made_up.settings(broker, given, receiver.url, "q7Zx-kept-7b")
        if not settings.secrets:
            return Result(
                broker.name, "secrets", Verdict.SKIPPED, "it has none", "" if _declares(broker) else "give some with --set"
            )
        runs: list[Ended] = []
        for status in (200, 500, None):
            if status is None:
                receiver.stop()  # nobody answers
            else:
                receiver.answer(**ANSWER | {"status": status})
            runs.append(called(broker, payload_of(USUAL), settings.values, TIMEOUT_S))
        if skipped := unreachable(broker, "secrets", runs[0]):
            return skipped
        said = [exchange.request for ended in runs for exchange in ended.exchanges] + [each.request for each in overheard]
    found = list(dict.fromkeys(_leaks(settings, runs, said, receiver.requests)))
    if found:
        remedy = "send a secret in a header or the body alone, and name it in no message"
        return Result(broker.name, "secrets", Verdict.FAIL, "; ".join(found), remedy)
    return Result(broker.name, "secrets", Verdict.PASS, f"seen in no address, log, note or reason: {', '.join(settings.secrets)}")


def _leaks(settings: Settings, runs: Iterable[Ended], said: Iterable[str], came: Iterable[ReceivedRequest]) -> Iterator[str]:
    """`token in the address of a request`."""
    runs, came = list(runs), list(came)
    addresses = [request.path for request in came] + [words.partition("\n")[0] for words in said]
    places: dict[str, list[str]] = {
        "the address of a request": addresses,
        "the log": [line for ended in runs for line in ended.logged],
        "what it prints": [ended.printed for ended in runs],
        "the note": [ended.note for ended in runs],
        "the reason of a failure": [ended.reason for ended in runs],
    }
    for key, secret in settings.secrets.items():
        written = spellings([secret])
        for place, texts in places.items():
            meant = key in settings.in_address and place == "the address of a request"
            if not meant and any(spelling in words for spelling in written for words in texts):
                yield f"{key} in {place}"
    for request in came:
        if _service_in(request, settings):
            yield "the whole of payload['service'] in the body of a request"


def _service_in(request: ReceivedRequest, settings: Settings) -> bool:
    """Whether a payload was sent on with the settings still in it."""
    try:
        return bool(set(settings.secrets.values()) & set(map(str, request.payload().get("service", {}).values())))
    except (ValueError, AttributeError):
        return False


# ------------------------------------------------------------------------------------------------------------ deadline


def deadline(broker: type[BaseBroker], given: Given) -> Result:
    """Whether it comes to its end when the service answers for ever."""
    with Drip() as drip, overhearing(loopback_only=True) as overheard:
        settings = made_up.settings(broker, given, drip.url, "deadline")
        ended = called(broker, payload_of(USUAL), settings.values, DEADLINE_S)
        if skipped := unreachable(broker, "deadline", ended):
            return skipped
    if ended.still_runs:
        told = f"it still ran {GRACE_S:g} s after its {DEADLINE_S:g} s were over: the service answered a byte at a time"
        remedy = "speak through brokers.transport, which keeps the deadline; the time-out of requests or urllib begins anew with each byte"
        return Result(broker.name, "deadline", Verdict.FAIL, told, remedy)
    if not drip.connections and (ended.exchanges or overheard):
        told = "it asks a server that answers, not an address among its settings"
        return Result(broker.name, "deadline", Verdict.SKIPPED, told, GIVE_ADDRESS)
    asked = "" if drip.connections else "; it asked nobody"
    return Result(broker.name, "deadline", Verdict.PASS, f"ended after {ended.duration_s:.1f} s of {DEADLINE_S:g} s{asked}")
