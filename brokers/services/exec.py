"""Exec: a program of this machine."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from brokers.base import BaseBroker, Field
from brokers.config import ServiceSettings
from brokers.render.template import values_of
from brokers.secrets import SHORTEST_MASKED, is_reference
from brokers.transport import program
from brokers.transport.call import current
from payload import text

_FOR_GOOD = {65: "refused the payload for good"}
"""sysexits(3): EX_DATAERR, `The input data was incorrect in some way`."""


def _arguments(command: str) -> list[str]:
    """As a shell would split it. Raises ValueError that says what would be right."""
    try:
        arguments = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"close what is quoted, as /usr/local/bin/deploy 'my site' ({error})") from error
    if not arguments or not arguments[0].startswith("/"):
        raise ValueError("write the program's absolute path, and then its arguments, as /usr/local/bin/deploy 'my site'")
    return arguments


class Exec(BaseBroker):
    """Runs a program for each push. The payload comes on its standard input, as JSON less `broker` and `service`.

    It needs the program's absolute path. Arguments may follow, quoted as for a shell, with `'` since git takes `"` for its own; no
    shell sees them, and nothing that was pushed is among them. It runs as the user whose worker it is (with `oberon.mode = inline`
    as the pusher's), so whoever may write the repository's configuration may run what that user may: keep it out of pushers' hands.

        # git config                                   # hgrc
        [service "site"]                               [services]
            broker = exec                              site.broker = exec
            command = /usr/local/bin/deploy staging    site.command = /usr/local/bin/deploy staging
            directory = /srv/site                      site.directory = /srv/site
            timeout = 5m                               site.timeout = 5m

    It has PATH, LANG, HOME, USER, LOGNAME, and these, empty where there is nothing to tell: OBERON_REPOSITORY, where it is on
    this machine; OBERON_REPOSITORY_NAME, _SLUG, _OWNER, _PATH (as team/app), _SCM and _URL; OBERON_USER, _COUNT, _BRANCH, _REF,
    _KIND, _ACTION, _OLD, _NEW, _URL, _COMPARE, _SUBJECT, _SUMMARY, _EVENT and _TIME. Each is one line. Of several refs that
    moved they tell of one, a branch if there is one; the payload has all.

    Exit status 0 is delivered, and the first line it prints the note. 65 (EX_DATAERR in sysexits.h) is never tried again; any
    other, as 75 (EX_TEMPFAIL), is tried again on the schedule, and the reason is what it printed on stderr. Of what it prints
    8 KiB are kept. Shortly before `timeout` is over it gets SIGTERM, then SIGKILL, with all of its process group.
    What it leaves running in the background is neither waited for nor read: redirect its output.
    """

    fields = (
        Field("Command", required=True, validate=_arguments, help="the program's absolute path, and its arguments"),
        Field("Directory", type="path", default="/", help="where it runs"),
    )

    def handle(self, payload: dict[str, Any]) -> str:
        """The note is the first line that the program prints."""
        settings = payload["service"]
        told = {key: value for key, value in payload.items() if key not in ("broker", "service")}
        ended = program.run(
            _arguments(settings["command"]),
            stdin=json.dumps(told).encode(),
            environment=_environment(payload),
            cwd=settings.get("directory") or "/",
        )
        return program.check(ended, _FOR_GOOD).note

    @classmethod
    def secrets_of(cls, service: ServiceSettings, values: Mapping[str, Any]) -> list[str]:
        """Of a command that stands elsewhere, as `file:/path`, the arguments: the record has it as a shell would take it."""
        entry, found = service.fields.get("command"), super().secrets_of(service, values)
        if entry is not None and is_reference(entry.value) and "command" in values:
            arguments = [each for each in _arguments(values["command"])[1:] if len(each) >= SHORTEST_MASKED]
            found += [*arguments, *map(shlex.quote, arguments)]
        return found


def _environment(payload: Mapping[str, Any]) -> dict[str, str]:
    values = {**values_of(payload), "repository": current().repository}
    return {
        f"OBERON_{name.upper().replace('.', '_')}": "" if value is None else text.visible(text.repair(str(value)))
        for name, value in values.items()
    }
