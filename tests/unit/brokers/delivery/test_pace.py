import pytest

from brokers.delivery import pace
from brokers.delivery.pace import FEWEST, MEASURE_S, Pace


class Machine:
    """The clock, and what the process has used of the processor."""

    def __init__(self):
        self.now = self.used_s = 100.0

    def monotonic(self):
        return self.now

    def process_time(self):
        return self.used_s

    def go_on(self, seconds, share):
        self.now += seconds
        self.used_s += seconds * share


@pytest.fixture
def machine(monkeypatch):
    machine = Machine()
    monkeypatch.setattr(pace, "time", machine)
    return machine


def test_a_busy_process_gets_fewer_and_an_idle_one_more(machine):
    made = Pace(8)
    for expected in (7, 6, 5, 4, 3, FEWEST, FEWEST):
        machine.go_on(MEASURE_S, 1.0)
        made.measure(8)
        assert made.width == expected
    for expected in (3, 4, 5, 6, 7, 8, 8):
        machine.go_on(MEASURE_S, 0.3)
        made.measure(8)
        assert made.width == expected


def test_nothing_is_made_of_a_moment(machine):
    made = Pace(8)
    for _ in range(3):
        machine.go_on(MEASURE_S / 4, 1.0)
        made.measure(8)
    assert made.width == 8
    machine.go_on(MEASURE_S / 2, 1.0)
    made.measure(8)
    assert made.width == 7, "the moments count together"


def test_of_two_processors_one_is_enough_to_be_busy(machine):
    made = Pace(4)
    machine.go_on(MEASURE_S, 1.7)
    made.measure(4)
    assert made.width == 3


def test_it_grows_no_wider_than_the_pool_is_now(machine):
    made = Pace(8)
    machine.go_on(MEASURE_S, 0.1)
    made.measure(4)
    assert made.width == 4
