import sys
import threading

import pytest

from brokers import printed


@pytest.fixture(autouse=True)
def _restored():
    streams = sys.stdout, sys.stderr
    yield
    sys.stdout, sys.stderr = streams


def test_what_a_broker_prints_is_kept_and_the_rest_goes_on(capsys):
    with printed.keeping() as kept:
        print("from the broker")
        print("and its errors", file=sys.stderr)
    print("from the program")
    assert "".join(kept) == "from the broker\nand its errors\n"
    out, err = capsys.readouterr()
    assert (out, err) == ("from the program\n", "")


def test_only_the_broker_s_own_thread_is_kept_apart(capsys):
    with printed.keeping() as kept:
        other = threading.Thread(target=print, args=("elsewhere",))
        other.start()
        other.join()
    assert kept == []
    assert capsys.readouterr().out == "elsewhere\n"


def test_it_is_bounded():
    with printed.keeping() as kept:
        for _ in range(1000):
            print("x" * 100)
    assert sum(map(len, kept)) <= printed.MAX_CHARS + 101


def test_calling_it_twice_wraps_once():
    with printed.keeping():
        stream = sys.stdout
    with printed.keeping():
        assert sys.stdout is stream
