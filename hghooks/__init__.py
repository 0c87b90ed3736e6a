"""tell web hooks, mail and other services what was pushed (Oberon)

Usage, in the hgrc of one repository or of the whole server::

  [hooks]
  changegroup.oberon = python:hghooks.changegroup.hook
  txnclose-bookmark.oberon = python:hghooks.bookmarks.hook

  [services]
  ci.broker = post
  ci.url = https://ci.example.org/hook

or, instead of the lines under ``[hooks]``, the extension, which puts those hooks in place itself and knows the settings
by name::

  [extensions]
  hghooks =

A push writes down what happened and returns; a worker, a process of its own, reads the changesets and delivers them
to each service, again and again if need be. No push fails because of it. The second hook is for pushes that move bookmarks
alone. Nothing is done for ``strip`` and its like, for a push of phases alone, and for what happens on the server itself.

Each service is a name with settings after a dot: ``NAME.broker`` says which broker carries the payload, and the
broker's own settings follow it. ``oberon services REPO`` lists them all with where each comes from, and ``oberon
doctor REPO`` finds what is wrong. Names of settings may be written in any case. Mercurial reads the repository's hgrc
only if it trusts its owner: see ``hg help config.trusted``.

Every service also has ``NAME.enabled``, and ``refs``, ``paths``, ``events`` and ``authors``: globs, of which at least one
must match, and none after a ``!``. Default: all. ``skipMarks`` keep back a push whose newest changeset has one of them in
its message. Default: [skip oberon] [oberon skip]. ``timeout`` is how long one attempt may take, in seconds or as 2m.
Default: 30s. ``retry`` are the waits between attempts; ``maxAge`` is when to give up, in seconds or as 3d. Default: 3d.
``ordered`` makes a push wait for the one before it. Default: false. ``allowHosts`` is where the service may be.

Settings of all services, under ``[oberon]``:

``mode``
  ``detached`` delivers after the push, ``inline`` before it returns. Default: detached.

``deadline``
  Inline: how long the pusher waits at most, in seconds, or as 30s or 2m. What is not done by then is done later.
  Default: 10s.

``verbose``
  Detached: tell the pusher that the push was recorded. Default: false.

``stateDir``
  Directory of the spool and the outbox. Default: /var/lib/oberon if it can be written, else ``oberon`` in
  $XDG_STATE_HOME or ~/.local/state, else in the repository's .hg.

``brokerPath``
  Directories of your own brokers, separated by colons. Default: none.

``sources``
  Which changegroups and bookmarks count: ``serve`` (ssh and http), ``push`` (a local path), ``pull``, ``unbundle``.
  Default: serve push.

``owner``, ``name``, ``slug``
  The repository as the payload names it. Default: the folder it is in, the slug, its own folder.

``canonUrl``, ``absoluteUrl``, ``website``
  Address of the server, as https://hg.example.org; the repository's path below it; the project's site.
  Default: none, /OWNER/SLUG/, canonUrl.

``links``
  Which web interface links to the repository, its commits and what a push changed lead to: ``hgweb``, ``hg-serve``,
  ``heptapod``, ``kallithea``, ... (``oberon payload`` shows them). Default: the forge's own, or no links.

``repositoryUrl``, ``commitUrl``, ``compareUrl``
  Templates of addresses of one's own, with {canonUrl}, {path}, {node} and the like. Default: those of ``links``.

``private``
  What the payload says as is_private. Default: true.

``authorMap``
  File of lines ``mail@example.org = login``. Default: none.

``timezone``
  Zone of ``timestamp``, as Europe/Berlin. Default: the machine's.

``allowHosts``
  Where services may be: external, private, loopback, networks, globs of hosts. Default: external private loopback.

``proxy``, ``caBundle``
  HTTP proxy of the deliveries; file of certificates to trust. The environment's are never used. Default: none.

``workers``, ``perHost``
  Deliveries at the same time, in all and to one host. Default: 8 and 4.

``maxCommits``, ``maxFiles``, ``maxMessage``, ``maxDiff``
  Limits of a payload: the newest changesets of a push, files of each, bytes of a message and of a diff (k and m count
  1024s). What was cut is marked. Default: 1000, 1000, 64k, 256k.

``retry``
  Waits between the attempts of a delivery. Default: 5s, 30s, 2m, 10m, 30m, 2h, 5h, 10h, 10h.

``alert``
  The service that is told when a delivery is given up or a service switched off. Default: none.

``reconcile``
  Whether pushes are looked for that no hook could record, having been killed: changesets that came without one and are public.
  Default: true.

``keepDays``
  Days that deliveries stay in the record. Default: 30.

``gitReader``, ``gitRevision`` and ``refs`` concern git repositories only.

A pusher may silence one push with ``--pushvars OBERON_SKIP=1``, if the server has ``push.pushvars.server = yes``; other
variables reach the payload.
"""

# Loaded before the hook itself at every push, and by the worker: nothing here may fail, so nothing is imported here.
# Mercurial asks for the names below by getattr when this package is an extension, and only then are they made.

from __future__ import annotations

testedwith = b"7.2"
minimumhgversion = b"6.3"

HOOKS = {
    b"changegroup.oberon": b"python:hghooks.changegroup.hook",
    b"txnclose-bookmark.oberon": b"python:hghooks.bookmarks.hook",
}
"""What stands under `[hooks]`."""

_OF_THE_EXTENSION = ("configtable", "reposetup")


def __getattr__(name: str) -> object:
    if name in _OF_THE_EXTENSION:
        try:
            from hghooks import extension

            return getattr(extension, name)
        except Exception as error:
            # hg takes a missing name for "has none": better no declared settings than no hg.
            raise AttributeError(f"{name} cannot be had: {error}") from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
