"""Run a program and write what it took, as JSON: `python -I -S launcher.py PROGRAM ARGUMENT...`.

Linux counts the memory of who starts a program as the program's own peak. So programs are started by this, which is small.
"""

import os
import sys
import time

if __name__ == "__main__":
    began = time.perf_counter()
    child = os.posix_spawnp(
        sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0o666)]
    )
    _, status, usage = os.wait4(child, 0)
    wall_s = time.perf_counter() - began
    cpu_s = usage.ru_utime + usage.ru_stime
    sys.stdout.write(
        f'{{"code": {os.waitstatus_to_exitcode(status)}, "wall_s": {wall_s}, "cpu_s": {cpu_s}, "largest_mb": {usage.ru_maxrss * 1024 / 1e6}}}'
    )
