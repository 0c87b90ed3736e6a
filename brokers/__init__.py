"""Brokers: small classes that each carry a payload to one outside service.

    from brokers import BaseBroker

    class Post(BaseBroker):
        def handle(self, payload):
            ...

What this package exports is imported when it is first asked for: the hooks pass through here on each push, and pay
for every module that is loaded.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from brokers.base import BaseBroker, Field
    from brokers.errors import BrokerError, ConfigError, PermanentFailure, RetryLater

__all__ = ["BaseBroker", "BrokerError", "ConfigError", "Field", "PermanentFailure", "RetryLater"]

_HOME_OF = {
    "BaseBroker": "brokers.base",
    "Field": "brokers.base",
    "BrokerError": "brokers.errors",
    "ConfigError": "brokers.errors",
    "PermanentFailure": "brokers.errors",
    "RetryLater": "brokers.errors",
}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
