"""The hook: `[hooks] changegroup.oberon = python:hghooks.changegroup.hook`. Writes the push down and returns.

In: what Mercurial gives a changegroup hook (5.9 to 7.2 alike; arguments beyond the named ones vary). Out: always None. A
hook that exits, is interrupted or cannot be imported makes hg's client say `abort:` of a push that is stored, and skips
the hooks after it. So this module imports what cannot fail, catches everything, and speaks through `ui` only.

The event carries the bookmarks that the same transaction moved, so that one push is one event; a push that moves bookmarks
alone is told by `hghooks.bookmarks`.

Detached: one file in the spool, fsynced, and a worker woken; nothing of the repository is read. Inline
(`oberon.mode = inline`, or a spool that cannot be written): read and deliver in this process, within the deadline.
"""

from __future__ import annotations

import _thread
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# As `brokers.config` has them; that module is too dear for this path.
DEFAULT_SOURCES = "serve push"
_YES = ("true", "yes", "on", "1", "always")
MAX_LINE = 500  # characters to the pusher; the record has the rest

_loading = _thread.allocate_lock()


def hook(
    ui: Any,
    repo: Any,
    hooktype: Any = None,  # noqa: ARG001 - hg gives it
    node: Any = None,
    node_last: Any = None,
    source: Any = None,
    url: Any = None,
    **kwargs: Any,
) -> None:
    """Record the changegroup `node`..`node_last` for delivery. Never raises, not even SystemExit or KeyboardInterrupt."""
    try:
        handle(ui, repo, node, node_last, source, url, kwargs)
    except BaseException as error:
        confess(ui, error)


def handle(ui: Any, repo: Any, node: Any, node_last: Any, source: Any, url: Any, arguments: dict[str, Any]) -> None:
    """Record or deliver what a hook was called for: a changegroup (None, None: none), and the bookmarks in `arguments`.

    `arguments` are the hook's others. A changegroup whose `source` does not count, or whose pusher asked for silence, is only
    noted. Does nothing if there is no changegroup and the bookmarks are told already. Raises whatever goes wrong.
    """
    _load()
    from hghooks import facts

    settings = {facts.text(key).lower(): facts.text(value) for key, value in ui.configitems(b"oberon")}
    counts = facts.text(source) in settings.get("sources", DEFAULT_SOURCES).replace(",", " ").split()
    variables = facts.pushvars(arguments)
    state_dir = _state_dir(settings.get("statedir", ""), facts.text(repo.path))
    if not counts or facts.is_silenced(variables):
        if node is not None:
            _note(state_dir, facts.record(ui, repo, node, node_last, url, variables))
        return
    moves = facts.bookmark_moves(arguments)
    if node is None and not moves:
        return
    record = facts.record(ui, repo, node, node_last, url, variables, moves)
    if settings.get("mode", "").strip().lower() == "inline":
        _deliver_or_record(ui, repo, record, state_dir)
        return
    try:
        _record(state_dir, record)
    except OSError as error:
        _deliver(ui, repo, record, state_dir, error)
        return
    _wake(ui, state_dir)
    if settings.get("verbose", "").strip().lower() in _YES:
        _say(ui, f"oberon: recorded this push as {record['id']}")


def _load() -> None:
    """Import what the detached way needs, one thread at a time.

    `hg serve` has a thread for each push and loads modules when they are first touched; two threads that touch one at
    once get half of it (`hghooks.imports`).
    """
    with _loading:
        from brokers.delivery import spool, statedir, wake
        from hghooks import facts, forge
        from payload import text

        for module in (facts, forge, spool, statedir, text, wake):
            module.__doc__  # noqa: B018 - any attribute loads it


def _state_dir(configured: str, beside: str) -> str:
    from brokers.delivery import statedir

    return statedir.choose(configured, os.environ, beside)


def _record(state_dir: str, record: dict[str, Any]) -> None:
    """Write the event to the spool. Raises OSError. An interruption is put off until it is written."""
    from brokers.delivery import spool, statedir

    interruption: BaseException | None = None
    for _ in range(2):
        try:
            statedir.prepare(state_dir)
            spool.write(state_dir, record)
        except (KeyboardInterrupt, SystemExit) as error:  # hg raises these from its handlers of SIGTERM and SIGHUP
            interruption = error
        else:
            return
    if interruption is not None:
        raise interruption


def _note(state_dir: str, record: dict[str, Any]) -> None:
    """Write down a changegroup that is for nobody, so that `oberon reconcile` does not take it for a push that was lost.

    Where nothing was ever recorded, nothing is compared, and nobody who only pulls gets a state directory. Where it cannot be
    done, nothing is: who pulls into a repository need not be a user of the state directory.
    """
    from brokers.delivery import wake

    if not os.path.isdir(os.path.join(state_dir, "spool", "new")):
        return
    try:
        _record(state_dir, {**record, "only": []})
        wake.wake(state_dir, os.environ)
    except OSError:
        return


def _wake(ui: Any, state_dir: str) -> None:
    from brokers.delivery import wake

    try:
        if wake.wake(state_dir, os.environ) == "absent":
            _say(ui, f"warning: oberon recorded this push, and it waits: no worker runs for {state_dir}; see `oberon doctor`")
    except Exception as error:
        _say(ui, f"warning: oberon recorded this push but could not start its worker: {error}; see `oberon doctor`")


def _deliver_or_record(ui: Any, repo: Any, record: dict[str, Any], state_dir: str) -> None:
    """Inline; whatever stops it, the push goes to the spool whole (what was delivered may then be delivered twice)."""
    try:
        _deliver(ui, repo, record, state_dir)
    except BaseException:
        _record(state_dir, record)
        _wake(ui, state_dir)
        raise


def _deliver(ui: Any, repo: Any, record: dict[str, Any], state_dir: str, fault: OSError | None = None) -> None:
    """Inline; `fault` is why the spool could not be written, where that is why we are here: one warning says so at the end."""
    from hghooks import imports

    with _loading:
        imports.settle()
    from functools import partial

    from brokers.delivery import inline
    from hghooks.changes import read
    from hghooks.config import effective
    from payload.push import Event

    inline.deliver(
        Event.from_record(record),
        effective(ui),
        read=partial(read, repo=repo),
        state_dir=state_dir,
        environ=os.environ,
        say=partial(_say, ui),
        fault=fault,
    )


def _say(ui: Any, line: str) -> None:
    """One line to the pusher: `remote: ...` over ssh and http. Nothing that was pushed reaches their terminal raw."""
    from mercurial import encoding

    from payload import text

    shown = text.visible(line)
    shown = shown if len(shown) <= MAX_LINE else shown[: MAX_LINE - 1] + "…"
    raw = encoding.tolocal(shown.encode("utf-8", "replace")) + b"\n"
    (ui.warn if shown.startswith(("warning:", "error:")) else ui.status)(raw)


def confess(ui: Any, error: BaseException) -> None:
    """Say what went wrong; if even that cannot be said, nothing."""
    try:
        ui.traceback()  # shown with --traceback, and by a server that has ui.traceback = yes
        _say(ui, f"error: oberon: {type(error).__name__}: {error} (the push is stored; see `oberon doctor`)")
    except BaseException:
        try:
            ui.warn(b"error: oberon failed (the push is stored; see `oberon doctor`)\n")
        except BaseException:
            sys.exc_info()  # the pusher is gone, or hg's own ui is broken
