"""What a delivery is compared with: `python posting.py URL COUNT THREADS BODY [alone]`, COUNT times Session.post of the file BODY.

`alone`: what the environment says of proxies and logins is not looked up for each request.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import requests


def main() -> None:
    """Each thread its own session, which keeps its connection."""
    url, count, threads, body = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]).read_bytes()
    is_alone = "alone" in sys.argv[5:]
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    def post(times: int) -> None:
        with requests.Session() as session:
            session.trust_env = not is_alone
            for _ in range(times):
                session.post(url, data=body, headers=headers, timeout=30).raise_for_status()

    loops = [
        threading.Thread(target=post, args=(count // threads + (number < count % threads),), daemon=True)
        for number in range(threads)
    ]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()


if __name__ == "__main__":
    main()
