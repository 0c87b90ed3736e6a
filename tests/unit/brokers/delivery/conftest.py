"""An outbox whose clock the test sets."""

import pytest

from brokers.delivery import statedir
from brokers.delivery.outbox import Outbox
from tests.support.clock import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def outbox(state_dir, clock):
    statedir.prepare(str(state_dir))
    with Outbox.open(str(state_dir), clock) as opened:
        yield opened
