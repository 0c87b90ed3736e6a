"""What was read last, kept within a number of bytes."""

from __future__ import annotations

from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class Recent(Generic[_Value]):
    """Values by object name, those used last, of at most `max_bytes` as their owner counts them (a larger one is kept alone).

    Two dictionaries do it: when the younger one holds half, the elder one is forgotten. That costs a look-up less than an
    order of use would.
    """

    def __init__(self, max_bytes: int) -> None:
        self._half_bytes = max_bytes // 2
        self._young: dict[bytes, tuple[_Value, int]] = {}
        self._young_bytes = 0
        self._elder: dict[bytes, tuple[_Value, int]] = {}

    def get(self, oid: bytes) -> _Value | None:
        """The value that is kept for `oid`, if it is."""
        found = self._young.get(oid)
        if found is not None:
            return found[0]
        found = self._elder.get(oid)
        if found is None:
            return None
        self.put(oid, *found)
        return found[0]

    def put(self, oid: bytes, value: _Value, bytes_: int) -> None:
        """Keep `value`, which takes `bytes_`."""
        if self._young_bytes + bytes_ > self._half_bytes:
            self._elder, self._young, self._young_bytes = self._young, {}, 0
        self._young[oid] = value, bytes_
        self._young_bytes += bytes_
