"""How many threads keep the processor busy: as many as are of use to quick jobs.

Python runs one thread at a time. Where the jobs' own work is all there is to wait for, more threads only take the interpreter
from one another: eight posted to a receiver that answers at once a fifth more slowly than two (Python 3.11, two cores). Where a
job waits for its service, the processor has time, and more threads are of use.
"""

from __future__ import annotations

import time

MEASURE_S = 0.01
BUSY = 0.9  # of one processor
FEWEST = 2  # one works while the other waits


class Pace:
    """One pool's. `measure` is called whenever its owner looks at it."""

    def __init__(self, width: int) -> None:
        self.width = width
        """So many quick jobs of one lane may run at once."""
        self._measured_at = time.monotonic()
        self._used_s = time.process_time()

    def measure(self, most: int) -> None:
        """One fewer if the process was busy since the last time, else one more, up to `most`."""
        now = time.monotonic()
        elapsed_s = now - self._measured_at
        if elapsed_s < MEASURE_S:
            return
        used_s = time.process_time()
        is_busy = used_s - self._used_s > BUSY * elapsed_s
        self.width = max(FEWEST, min(most, self.width + (-1 if is_busy else 1)))
        self._measured_at, self._used_s = now, used_s
