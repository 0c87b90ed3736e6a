"""What came to a server, in order, with waiting for it; and the answers it was told to give."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NothingCameError(AssertionError, TimeoutError):
    """Fewer arrived than were waited for; the text lists those that did."""

    def __init__(self, what: str, wanted: int, timeout_s: float, came: Sequence[object]) -> None:
        super().__init__(what, wanted, timeout_s, tuple(came))
        self.what = what
        self.wanted = wanted
        self.timeout_s = timeout_s
        self.came = tuple(came)

    def __str__(self) -> str:
        listed = "".join(f"\n  {item}" for item in self.came) or " nothing"
        return f"waited {self.timeout_s:g} s for {self.wanted} {self.what}; {len(self.came)} came:{listed}"


class Record(Generic[Item]):
    """What came, in order, and waiting for it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._items: list[Item] = []
        self._changed = threading.Condition()

    def add(self, item: Item) -> None:
        """One more came."""
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def all(self) -> list[Item]:
        """What came so far, oldest first; a list of its own."""
        with self._changed:
            return list(self._items)

    def clear(self) -> None:
        """Forget what came."""
        with self._changed:
            self._items.clear()

    def wait(self, count: int, timeout_s: float) -> list[Item]:
        """All that came, as soon as there are `count`. Raises NothingCameError after `timeout_s`."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._items) >= count, timeout_s):
                raise NothingCameError(self._what, count, timeout_s, self._items)
            return list(self._items)


class Script(Generic[Item]):
    """Answers to give, each a number of times; `times` None: for ever, or until another one for the same matter is added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: list[tuple[Item, int | None]] = []

    def add(self, item: Item, times: int | None) -> None:
        """Give `item` the next `times` times, after what was added before. Raises ValueError below once."""
        if times is not None and times < 1:
            raise ValueError(f"an answer is given at least once, not {times} times")
        with self._lock:
            self._steps.append((item, times))

    def next(self, matches: Callable[[Item], bool] = lambda _: True) -> Item | None:
        """The first step that `matches`, counted as used; None when there is none."""
        with self._lock:
            matching = [step for step in self._steps if matches(step[0])]
            while len(matching) > 1 and matching[0][1] is None:
                self._steps.remove(matching.pop(0))
            if not matching:
                return None
            item, times = matching[0]
            if times is not None:
                place = self._steps.index(matching[0])
                self._steps[place : place + 1] = [(item, times - 1)] if times > 1 else []
            return item
