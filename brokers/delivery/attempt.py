"""One call of a broker for one delivery: nothing it does gets out, and how it ended is an `Outcome`.

In: a service as configured, the payload's common part, the ways to a broker class and to secrets. The payload is the broker's
own, to change as it likes; whatever it raises - SystemExit and KeyboardInterrupt too - becomes an outcome; secrets are masked in all
that is kept.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any

from brokers import loader, printed
from brokers.base import BaseBroker
from brokers.config import Configuration, ServiceSettings
from brokers.delivery import filters
from brokers.delivery.outcome import TIMED_OUT, Outcome, Verdict
from brokers.errors import BrokerLoadError, ConfigError, DeliveryFailed, PermanentFailure, RetryLater, ServiceGone
from brokers.secrets import Resolver, spellings
from brokers.transport.call import Call, placing
from payload import text
from payload.build import Service, address

MASK = "****"
MAX_REASON_CHARS = 500
MAX_TRACE_CHARS = 8 * 1024


def attempt(
    service: ServiceSettings,
    configuration: Configuration,
    composed: dict[str, Any],
    resolve: Resolver,
    *,
    timeout_s: float | None = None,
    dry_run: bool = False,
    broker: type[BaseBroker] | None = None,
    repository: str = "",
) -> Outcome:
    """Call the broker of `service` once, for at most `timeout_s` seconds (None: as the service says). Never raises.

    `composed` becomes the broker's own (`payload.build.copied`).
    `broker` is called instead of the one that has its name: one that is not installed. `repository` is its absolute path.
    """
    started = time.monotonic()
    limit_s = service.timeout_s if timeout_s is None else timeout_s
    call = Call(
        deadline=started + limit_s,
        allow_hosts=service.allow_hosts or configuration.settings.allow_hosts,
        proxy=configuration.settings.proxy,
        ca_bundle=configuration.settings.ca_bundle,
        dry_run=dry_run,
        repository=repository,
    )
    secrets: list[str] = []
    with printed.keeping() as said:
        try:
            outcome = _call(service, configuration, composed, resolve, call, secrets, broker)
        except BaseException as error:
            outcome = _outcome_of(error, call)
        if said:
            outcome.details["printed"] = "".join(said)[: printed.MAX_CHARS]
    details: dict[str, Any] = {"exchanges": [exchange.to_record() for exchange in call.exchanges], **outcome.details}
    return Outcome(
        outcome.verdict,
        _one_line(mask(outcome.reason, secrets)),
        note=_one_line(mask(outcome.note, secrets)),
        after_s=outcome.after_s,
        slow_down=outcome.slow_down,
        duration_s=time.monotonic() - started,
        details=_masked(details, secrets),
        # Cut short by a pusher's deadline it says nothing against the endpoint.
        reached=None if outcome.reached is False and limit_s < service.timeout_s and call.remaining_s() == 0 else outcome.reached,
        called=call.placed,
        gone=outcome.gone,
    )


def _call(
    service: ServiceSettings,
    configuration: Configuration,
    composed: dict[str, Any],
    resolve: Resolver,
    call: Call,
    secrets: list[str],
    broker: type[BaseBroker] | None,
) -> Outcome:
    if not service.enabled:
        return Outcome(Verdict.SKIPPED, "skipped: the service is disabled")
    if service.problems:
        raise service.problems[0]
    named = loader.using(service.broker, configuration.settings.broker_path)
    with named if broker is None else nullcontext(broker) as chosen:
        values, problems = chosen.settings_of(service, resolve)
        secrets += spellings(chosen.secrets_of(service, values))
        if problems:
            raise problems[0]
        left_out = filters.told(composed)
        payload = address(composed, Service(chosen.name, values))
        with placing(call):
            note = chosen().handle(payload)
    notes = (note if isinstance(note, str) else "", left_out)
    return Outcome(Verdict.DELIVERED, note="; ".join(filter(None, notes)), reached=True)


def _outcome_of(error: BaseException, call: Call) -> Outcome:
    match error:
        case ConfigError():
            return Outcome(Verdict.RETRY, str(error))  # an admin may mend it while the schedule lasts
        case ServiceGone():
            return Outcome(Verdict.DEAD, str(error), reached=True, gone=True)
        case PermanentFailure():
            return Outcome(Verdict.DEAD, str(error))
        case RetryLater():
            return Outcome(Verdict.RETRY, str(error), after_s=_seconds(error.after_s))
        case DeliveryFailed():
            return Outcome(
                Verdict.RETRY,
                str(error),
                after_s=_seconds(error.after_s),
                slow_down=error.slow_down,
                reached=not error.endpoint_down,
            )
        case BrokerLoadError():
            return Outcome(Verdict.RETRY, str(error))
    trace = "".join(traceback.format_exception(error))[-MAX_TRACE_CHARS:]
    told = _text_of(error)
    if isinstance(error, TimeoutError) and call.remaining_s() == 0:
        return Outcome(Verdict.RETRY, TIMED_OUT, slow_down=True, details={"traceback": trace}, reached=False)
    return Outcome(
        Verdict.RETRY,
        f"{type(error).__name__}: {told}" if told else type(error).__name__,
        details={"traceback": trace},
    )


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "it cannot be told"  # an exception of the broker's own, whose __str__ raises


def _seconds(asked: object) -> float | None:
    """What a broker gave as `after_s`, if it is a number of seconds."""
    return float(asked) if isinstance(asked, (int, float)) and math.isfinite(asked) else None


def _one_line(reason: str) -> str:
    return text.visible(text.repair(reason))[:MAX_REASON_CHARS]


def mask(told: str, secrets: Iterable[str]) -> str:
    """`told` with each secret as `****`."""
    for secret in secrets:
        told = told.replace(secret, MASK)
    return told


def _masked(details: Any, secrets: Iterable[str]) -> Any:
    if isinstance(details, str):
        return mask(text.repair(details), secrets)
    if isinstance(details, Mapping):
        return {key: _masked(value, secrets) for key, value in details.items()}
    if isinstance(details, list):
        return [_masked(value, secrets) for value in details]
    return details
