"""A message to a chat or push service, over apprise, by the rules of its call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brokers.errors import BrokerError, DeliveryFailed, PermanentFailure, ServiceGone
from brokers.transport.call import Exchange, current
from payload import text

# It lives for a moment only: collecting garbage would take longer than what it does.
_STARTING = (
    "import gc, sys; gc.disable(); sys.path.insert(0, sys.argv.pop()); from brokers.transport.chat_process import main; main()"
)
_FAREWELL_S = 0.5  # how long before the deadline it gives up by itself, and can say what it waited for
_ERRORS: Mapping[str, type[BrokerError]] = {kind.__name__: kind for kind in (DeliveryFailed, PermanentFailure, ServiceGone)}
# requests looks for logins and proxies in these; the proxy is the call's.
_ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": "/nonexistent", "NETRC": os.devnull}


def send(urls: Sequence[str], messages: Mapping[str, Mapping[str, Any]]) -> str:
    """Send one message to each of `urls`, apprise's addresses; the note names the services that took it.

    `messages`: for each of the markups `text`, `markdown`, `html` and `irc` the fields of `brokers.render.chat.Message`; which of
    them, and how much of it, the service's plugin says. Each address is tried, whatever becomes of the others.
    Raises the first address's error: PermanentFailure where `allow_hosts` bars it, what `http.check` raises for an answer that
    is none of success, else DeliveryFailed with the words of apprise.
    """
    call = current()
    order = {
        "urls": list(urls),
        "messages": messages,
        "deadline": call.deadline - min(_FAREWELL_S, call.remaining_s() / 10),
        "allow_hosts": call.allow_hosts,
        "proxy": call.proxy,
        "ca_bundle": call.ca_bundle,
        "dry_run": call.dry_run,
    }
    started, said = time.monotonic(), ""
    argv = [_python(), "-I", "-c", _STARTING, str(Path(__file__).parents[2])]
    try:
        ended = subprocess.run(
            argv,
            input=json.dumps(order).encode(),
            capture_output=True,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
            timeout=call.remaining_s(),
            check=False,
        )
        said = text.decode(ended.stderr).strip().rpartition("\n")[2]
        told = json.loads(ended.stdout)
    except subprocess.TimeoutExpired as error:
        took_s = round(time.monotonic() - started, 1)
        raise DeliveryFailed(f"timed out after {took_s:g} s, sending to {_schemes(urls)}", slow_down=True) from error
    except (OSError, ValueError) as error:
        raise DeliveryFailed(f"the process that sends the message broke off: {said or error}", endpoint_down=False) from error
    call.exchanges += [Exchange(**exchange) for exchange in told["exchanges"]]
    if failed := told["error"]:
        raise _ERRORS[failed.pop("kind")](**failed)
    return f"{'would be sent to' if call.dry_run else 'sent to'} {', '.join(told['delivered'])}"


def _schemes(urls: Sequence[str]) -> str:
    return ", ".join(url.partition("://")[0] for url in urls)


def _python() -> str:
    """This Python's program; where it is embedded, `sys.executable` may be a server's."""
    return sys.executable if "python" in Path(sys.executable or "").name else str(Path(sys.exec_prefix, "bin", "python3"))
