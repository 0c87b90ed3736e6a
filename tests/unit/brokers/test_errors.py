"""The tree of errors: each says what went wrong in one line, carries its facts, and survives a change of process."""

import copy
import pickle

import pytest

import brokers
from brokers.delivery.spool import BadSpoolFile
from brokers.errors import (
    BrokerError,
    BrokerLoadError,
    ConfigError,
    DeliveryFailed,
    PermanentFailure,
    RetryLater,
    ServiceGone,
    UnknownBrokerError,
)

MADE = [
    (
        ConfigError("'x' is not right", setting="oberon.mode", origin="/etc/gitconfig:3", remedy="write detached or inline"),
        "oberon.mode in /etc/gitconfig:3: 'x' is not right; write detached or inline",
    ),
    (ConfigError("is wrong", setting="oberon.mode"), "oberon.mode: is wrong"),
    (ConfigError("is wrong", origin="/etc/gitconfig"), "/etc/gitconfig: is wrong"),
    (ConfigError("is wrong", remedy="mend it"), "is wrong; mend it"),
    (ConfigError("is wrong"), "is wrong"),
    (UnknownBrokerError("there is no broker 'pots'", remedy="there are: post"), "there is no broker 'pots'; there are: post"),
    (RetryLater(), "the service asked to try again later"),
    (RetryLater("busy", after_s=12.5), "busy"),
    (PermanentFailure("no such project"), "no such project"),
    (ServiceGone("410 Gone"), "410 Gone"),
    (DeliveryFailed("429 Too Many Requests", after_s=60.0, slow_down=True), "429 Too Many Requests"),
    (BrokerLoadError("/srv/brokers/chat.py", "has no class"), "/srv/brokers/chat.py: has no class"),
    (BadSpoolFile("/state/spool/new/x", "is torn"), "/state/spool/new/x: is torn"),
]
EACH = pytest.mark.parametrize(("error", "said"), MADE, ids=lambda value: type(value).__name__)


@EACH
def test_what_it_says(error, said):
    assert str(error) == said
    assert "\n" not in str(error)


@EACH
def test_it_survives_a_change_of_process(error, said):
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == said
        assert vars(again) == vars(error)


@pytest.mark.parametrize(
    ("leaf", "kinds"),
    [
        (ConfigError("x"), (BrokerError,)),
        (UnknownBrokerError("x"), (ConfigError, BrokerError)),
        (RetryLater(), (BrokerError,)),
        (PermanentFailure("x"), (BrokerError,)),
        (ServiceGone("x"), (PermanentFailure, BrokerError)),
        (DeliveryFailed("x"), (BrokerError,)),
        (BrokerLoadError("x", "y"), (BrokerError,)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_tree(leaf, kinds):
    assert all(isinstance(leaf, kind) for kind in kinds)


def test_a_retry_is_no_failure_and_a_failure_no_retry():
    assert not issubclass(RetryLater, PermanentFailure)
    assert not issubclass(DeliveryFailed, PermanentFailure | RetryLater)


def test_the_package_gives_authors_what_they_need():
    assert brokers.RetryLater is RetryLater
    assert brokers.PermanentFailure is PermanentFailure
    assert brokers.ConfigError is ConfigError
    assert brokers.BrokerError is BrokerError
    assert all(getattr(brokers, name).__name__ == name for name in brokers.__all__)


def test_what_the_package_lacks_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'brokers' has no attribute 'Nonsense'"):
        _ = brokers.Nonsense
