"""event -> deliveries: read the repository, build the payload, and decide for which services it is.

The readers are handed in as `Source`s, so that the delivery knows neither git nor Mercurial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from brokers import loader
from brokers.base import NEEDS
from brokers.config import Configuration, ServiceSettings, Settings, author_logins
from brokers.delivery import alerts
from brokers.delivery.claims import NewDelivery
from brokers.delivery.filters import concerns
from brokers.delivery.progress import Progress
from brokers.delivery.standing import KnownChangelog, Standing
from brokers.errors import BrokerError
from payload.build import Limits, compose
from payload.push import Event, Push


class Read(Protocol):
    """What reads a repository: `githooks.reading.read` and `hghooks.changes.read`."""

    def __call__(self, event: Event, settings: Settings, needs: frozenset[str] = ..., *, progress: Progress | None = ...) -> Push:
        """As `Source.read`."""


class Source(Protocol):
    """One kind of repository: its configuration and its history."""

    def configuration(self, path: str) -> Configuration:
        """What the configuration of the repository at `path` says. Raises BrokerError if it cannot be read."""

    def read(
        self,
        event: Event,
        settings: Settings,
        needs: frozenset[str],
        later: Sequence[Event] = (),
        progress: Progress | None = None,
    ) -> Push:
        """The push that `event` tells of; `later` are the events of its repository known to have come after it.

        `progress` is called in this thread, first as (0, commits to read) when their number is known, then now and then as
        (commits read, commits to read); what it raises ends the reading. Raises BrokerError if the repository cannot be read.
        """

    def standing(self, path: str, settings: Settings, known: KnownChangelog) -> Standing:
        """Where the repository at `path` stands now; `known` is what is recorded of it, if it has a changelog.

        Raises BrokerError if it cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Expansion:
    """What an event comes to."""

    composed: dict[str, Any]
    """The payload less `broker` and `service`."""
    deliveries: tuple[NewDelivery, ...]
    """One for each service, skipped ones too."""
    alerts_wanted: bool = False
    """Whether the configuration names a service for alerts."""


def needs_of(configuration: Configuration) -> frozenset[str]:
    """What the brokers of the enabled services ask the reader for, as `diff`.

    A broker that cannot be loaded may ask for anything: it may be mended when its delivery is tried again, and the push is
    read once.
    """
    needs: set[str] = set()
    for service in configuration.services:
        if service.enabled and not service.problems:
            try:
                needs.update(loader.broker_class(service.broker, configuration.settings.broker_path).needs)
            except BrokerError:
                needs |= NEEDS  # the attempt will meet it again and record it
    return frozenset(needs)


def composed_of(push: Push, settings: Settings, sequence: int | None) -> dict[str, Any]:
    """`payload.build.compose` as the settings want it. Raises ConfigError if `authorMap` cannot be read."""
    return composer(settings)(push, sequence=sequence)


def composer(settings: Settings) -> Callable[..., dict[str, Any]]:
    """`payload.build.compose`, given what the settings say, for many pushes. Raises ConfigError if `authorMap` cannot be read."""
    return partial(
        compose,
        zone=settings.timezone,
        limits=Limits(settings.max_commits, settings.max_files, settings.max_message_bytes, settings.max_diff_bytes),
        authors=author_logins(settings.author_map),
    )


def expand(push: Push, configuration: Configuration, sequence: int | None, only: Sequence[str] | None = None) -> Expansion:
    """The payload of `push`, and a delivery for each service that is enabled (and named in `only`, if that is given).

    A service whose settings are wrong gets its delivery all the same: the attempt fails with the reason, and goes out if the
    setting is mended while the schedule lasts.
    """
    composed = composed_of(push, configuration.settings, sequence)
    services = [service for service in configuration.services if service.enabled and (only is None or service.service in only)]
    deliveries = tuple(_delivery(service, configuration, composed) for service in services)
    return Expansion(composed, deliveries, configuration.settings.alert is not None)


def expand_alert(push: Push, configuration: Configuration) -> Expansion:
    """The payload of an alert (`alerts`), and a delivery for the service that is told of it; none if there is no such service."""
    composed = composed_of(push, configuration.settings, None)
    name = alerts.addressee(configuration, composed["oberon"]["alert"])
    service = None if name is None else configuration.service(name)
    told = () if service is None else (replace(_delivery(service, configuration, composed), ordered=False),)
    return Expansion(composed, told, configuration.settings.alert is not None)


def _delivery(service: ServiceSettings, configuration: Configuration, composed: dict[str, Any]) -> NewDelivery:
    _, skipped = concerns(service, composed)
    return NewDelivery(
        service=service.service,
        broker=service.broker,
        endpoint=_endpoint(service, configuration),
        ordered=service.ordered,
        skipped=skipped,
        max_age_s=service.max_age_s or None,
    )


def _endpoint(service: ServiceSettings, configuration: Configuration) -> str:
    try:
        broker = loader.broker_class(service.broker, configuration.settings.broker_path)
        return broker().endpoint(broker.settings_of(service)[0])
    except Exception:
        return ""  # a broker that cannot say shares nothing out; what is wrong with it, the attempt records
