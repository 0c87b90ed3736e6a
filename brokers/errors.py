"""What can go wrong, as a tree; each error carries its facts as attributes and says the way out in its text."""

from __future__ import annotations

from collections.abc import Iterator


class BrokerError(Exception):
    """The base of all errors that Oberon and its brokers raise on purpose."""


class ConfigError(BrokerError):
    """A setting cannot be used. `str()` is one line: setting, file, what is wrong, what would be right."""

    def __init__(self, problem: str, *, setting: str = "", origin: str = "", remedy: str = "") -> None:
        super().__init__(problem)  # the rest is in __dict__, which pickle restores
        self.problem = problem
        self.setting = setting
        """As the admin would write it: `service.ci.url`, `oberon.mode`."""
        self.origin = origin
        """Where it stands: a file's path, with the line if known; '' if it stands nowhere."""
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.setting} in {self.origin}" if self.setting and self.origin else self.setting or self.origin
        said = f"{place}: {self.problem}" if place else self.problem
        return f"{said}; {self.remedy}" if self.remedy else said


class RetryLater(BrokerError):
    """Raised by a broker: not now. `after_s` seconds at the earliest; None leaves it to the schedule."""

    def __init__(self, reason: str = "the service asked to try again later", *, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s

    def __str__(self) -> str:
        return self.reason


class PermanentFailure(BrokerError):
    """Raised by a broker: this delivery can never succeed, so do not try it again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class ServiceGone(PermanentFailure):
    """The service says that it wants no more of this (HTTP 410)."""


class DeliveryFailed(BrokerError):
    """An attempt failed in a way that the schedule may mend: an HTTP status, a refused connection, a time-out."""

    def __init__(self, reason: str, *, after_s: float | None = None, slow_down: bool = False, endpoint_down: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s
        """What a `Retry-After` header asked for, in seconds; None if nothing did."""
        self.slow_down = slow_down
        """True for 429 and time-outs: the endpoint has too much to do already, so wait at least a minute."""
        self.endpoint_down = endpoint_down
        """False where the endpoint is well and refused this one request, as by 404: others are no worse off."""

    def __str__(self) -> str:
        return self.reason


class UnknownBrokerError(ConfigError):
    """No broker has that name; `remedy` lists those that would have been right."""


class PlacedError(BrokerError):
    """Something of this machine cannot be used. `str()` is one line: where it is, then the reason."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(place, reason)
        self.place = place
        """A file's or repository's path, as it was named."""
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class BrokerLoadError(PlacedError):
    """A broker's file cannot be used: `place` names the file, and the class if it got that far."""


class ReadingError(PlacedError):
    """A push cannot be read; `place` is the repository's path as the event has it."""


class RepositoryGone(ReadingError):
    """There is no repository at that path (any more)."""


class RepositoryUnreadable(ReadingError):
    """The repository is there and cannot be read: rights, a broken configuration, a format or extension, damage."""


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """`error` and what it came from, the first cause last, each once: a chain may come back to itself (`raise error from error`)."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
