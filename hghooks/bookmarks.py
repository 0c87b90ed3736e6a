"""The hook: `[hooks] txnclose-bookmark.oberon = python:hghooks.bookmarks.hook`. Tells of pushes that move bookmarks alone.

hg calls it once for each bookmark that a transaction moved, in the order of their names, when the lock is released and
before the changegroup hook of the same transaction. Each call has all of the transaction's moves, so the first one writes
them down, as one event. Where the transaction brought changesets too, their event carries the bookmarks.

What happens on the server itself (`hg bookmark`, `hg commit`, `hg update`) names no source and is no push. Like
`hghooks.changegroup`, this module can be imported whatever else is broken, catches everything and returns None.
"""

from __future__ import annotations

from hghooks import HOOKS

try:  # here and not in the hook: hg imports hooks at once, and what they import themselves when it is touched, in any thread
    from hghooks import changegroup
except BaseException:
    changegroup = None  # type: ignore[assignment]  # `_handle` fails, and that is told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PUSHKEY = b"bookmarks"  # the transaction of mercurial/bookmarks.py, `pushbookmark`; that of `hg bookmark` is `bookmark`


def hook(
    ui: Any,
    repo: Any,
    hooktype: Any = None,  # noqa: ARG001 - hg gives it
    bookmark: Any = None,  # noqa: ARG001 - one of those in `changes`
    node: Any = None,  # noqa: ARG001 - where that one is now
    source: Any = None,
    url: Any = None,
    **kwargs: Any,
) -> None:
    """Record the bookmarks that a push has moved, once. Never raises, not even SystemExit or KeyboardInterrupt."""
    try:
        _handle(ui, repo, source, url, kwargs)
    except BaseException as error:
        _confess(ui, error)


def _handle(ui: Any, repo: Any, source: Any, url: Any, kwargs: dict[str, Any]) -> None:
    if "node_last" in kwargs and _is_told_with_its_changesets(ui):
        return
    if source is None and kwargs.get("txnname") == _PUSHKEY:
        source, url = _origin_of_pushkey(ui)
    changegroup.handle(ui, repo, None, None, source, url, kwargs)


def _is_told_with_its_changesets(ui: Any) -> bool:
    """Whether the changegroup hook is in place too: under its own name, or itself under another."""
    (ours, its_value), _ = HOOKS.items()
    for name, value in ui.configitems(b"hooks"):
        if value and (name == ours or (value == its_value and name.startswith(b"changegroup."))):
            return True
    return False


def _origin_of_pushkey(ui: Any) -> tuple[bytes, bytes]:
    """`source` and `url` of a bookmark pushed the way of before bundle2, which says neither: by what the server was started."""
    for variable, scheme in ((b"REQUEST_METHOD", b"http"), (b"SSH_CLIENT", b"ssh")):
        if ui.environ.get(variable):
            return b"serve", b"remote:%s:" % scheme
    return b"push", b""


def _confess(ui: Any, error: BaseException) -> None:
    try:
        changegroup.confess(ui, error)
    except BaseException:
        try:
            ui.warn(b"error: oberon failed (the push is stored; see `oberon doctor`)\n")
        except BaseException:
            return  # the pusher is gone
