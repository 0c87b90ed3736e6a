"""python -m brokers.testing [PORT]: an HTTP server on 127.0.0.1 that prints each request, to try a service with."""

from __future__ import annotations

import argparse
import json
import time

from brokers.testing import ReceivedRequest, Receiver
from payload.text import visible

DEFAULT_PORT = 8010


def main() -> None:
    """Until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m brokers.testing", description=__doc__)
    parser.add_argument("port", metavar="PORT", nargs="?", type=int, default=DEFAULT_PORT, help=f"default: {DEFAULT_PORT}")
    with Receiver(port=parser.parse_args().port) as receiver:
        print(f"listening on {receiver.url} - Ctrl-C ends it", flush=True)
        try:
            _show_forever(receiver)
        except KeyboardInterrupt:
            return


def _show_forever(receiver: Receiver) -> None:
    shown = 0
    while True:
        for request in receiver.requests[shown:]:
            shown += 1
            _show(request)
        time.sleep(0.1)


def _show(request: ReceivedRequest) -> None:
    try:
        body = json.dumps(request.payload(), indent=2)
    except ValueError:
        body = visible(request.body.decode("utf-8", "replace"))
    print(f"{visible(request.method)} {visible(request.path)}\n{body}", flush=True)


if __name__ == "__main__":
    main()
