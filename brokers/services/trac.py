"""Trac: it is told of each new changeset."""

from __future__ import annotations

from typing import Any

from brokers.base import BaseBroker, Field
from brokers.render.subject import beyond
from brokers.transport import program

MAX_REVISIONS = 1000
"""Of one call: what fits into a command line many times over."""


class Trac(BaseBroker):
    """Tells a Trac on this machine of the new changesets, with `trac-admin ENVIRONMENT changeset added REPOSITORY REVISION...`.

    Trac then reads them, shows them in its timeline, and with the component `tracopt.ticket.commit_updater.*` comments on and
    closes the tickets that their messages name, by its own keywords (trac.ini, `[ticket]`).

    It needs the environment's folder, and a worker whose user may write it; the repository has to be known to Trac (Admin,
    Repositories), of the type git, or hg with the plugin TracMercurial.

        # git config                                   # hgrc
        [service "trac"]                               [services]
            broker = trac                              trac.broker = trac
            environment = /srv/trac/kettle             trac.environment = /srv/trac/kettle
            repository = kettle                        trac.repository = kettle

    Delivered is a push when trac-admin has ended well. All revisions go into one call, of 1000 at most; a push without commits
    needs none. Trac keeps no list of what it was told: after a lost attempt, a ticket may have a comment twice.
    """

    fields = (
        Field("Environment", type="path", required=True, help="the folder of the Trac environment"),
        Field("Repository", default="(default)", help="the repository's name in Trac, or its path"),
        Field("Program", type="path", default="/usr/bin/trac-admin", help="trac-admin, where it is not there"),
    )

    def handle(self, payload: dict[str, Any]) -> str:
        """The note: how many changesets it was told."""
        settings = payload["service"]
        revisions = [str(commit.get("raw_node") or commit["node"]) for commit in payload["commits"]]
        command = [settings["program"], settings["environment"], "changeset", "added", settings["repository"]]
        for start in range(0, len(revisions), MAX_REVISIONS):
            program.check(program.run([*command, *revisions[start : start + MAX_REVISIONS]]))
        return "; ".join([f"changesets: {len(revisions)}", *beyond(payload, len(revisions), "told")])
