"""The git hook: `oberon-post-receive`, linked to `hooks/post-receive`.

In: git's lines `OLD NEW REF` on stdin, the git directory as the current one, a forge's variables in the environment
(githooks(5)). Out: one event in the spool and a worker awake, or the deliveries themselves when `oberon.mode = inline`. It
exits 0 whatever happens, and says at most a line: the push is stored already, and must not look as if it were not.

It imports the standard library only, and of that what costs next to nothing, `os` not (see `brokers.delivery`);
`tests/integration` watches `sys.modules`. What is not needed before git is asked for its configuration stands in other modules.
"""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

STDIN, STDOUT, STDERR = 0, 1, 2
_TRUE = ("true", "yes", "on", "1", None)

_pusher = STDERR  # where `say` writes


def main() -> int:
    """The console script. Always 0."""
    try:
        _put_off_interruptions()
        from brokers.delivery.surroundings import environment

        run(environment())
    except BaseException as error:
        say(f"error: oberon: {type(error).__name__}: {error}; the push is stored, see `oberon doctor`")
    return 0


def _put_off_interruptions() -> None:
    """A Ctrl-C at the pusher's terminal reaches the hook of a local push too: the push is stored, and is to be recorded."""
    try:
        from _signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, signal  # `signal` itself costs 10 ms
    except ImportError:
        from signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, signal
    for number in (SIGHUP, SIGINT, SIGTERM):
        signal(number, SIG_IGN)


def run(environ: "Mapping[str, str]") -> None:
    """Record, or deliver, what stdin tells. May raise anything: `main` is the one that must not."""
    from brokers.delivery.surroundings import absolute
    from githooks.asking import ConfigUnreadable, read_all, values

    git_dir = absolute(environ.get("GIT_DIR", "."))
    lines = read_all(STDIN)  # before anything that may fail: a wrapper that feeds us must not meet a closed pipe
    updates = parse(lines)
    if not updates:
        return
    path = common_dir(git_dir)
    record: dict[str, Any] = {}
    try:
        found = values(path, environ, meanwhile=lambda: record.update(_prepared(path, updates, environ)))
    except (ConfigUnreadable, OSError) as error:
        # Nothing is known, not even whether there are services: keep the event where it would be by default.
        say(f"warning: oberon: {error}")
        found = [("", "service", None)]
    options = {key: value for _, key, value in found}
    if not any(key.startswith("service") for key in options):
        return
    record = record or _prepared(path, updates, environ)

    from brokers.delivery.statedir import choose

    state_dir = choose(options.get("oberon.statedir"), environ, beside=path)
    if (options.get("oberon.mode") or "").strip().lower() == "inline":
        _deliver_or_record(record, state_dir, environ)
        return
    try:
        hand_over(record, state_dir, environ)
    except OSError as error:
        deliver_inline(record, state_dir, environ, fault=error)
        return
    if options.get("oberon.verbose", "false") in _TRUE:
        say(f"oberon: recorded this push as {record['id']}")


def _prepared(path: str, updates: list[list[str]], environ: "Mapping[str, str]") -> "dict[str, Any]":
    """The facts; and what handing them over will import is loaded. git takes longer to read its configuration."""
    from githooks import facts

    try:
        import _socket  # noqa: F401 - for `wake`

        from brokers.delivery import statedir, wake  # noqa: F401 - for `hand_over`
    except ImportError:
        pass  # first the push is recorded
    return facts.record(path, updates, environ)


def parse(lines: bytes) -> list[list[str]]:
    """`[[old, new, ref], ...]` of git's lines, in their order; blank ones and what is no such line are passed over."""
    from brokers.delivery.surroundings import text

    updates = []
    for line in lines.split(b"\n"):
        parts = line.strip(b"\r").split(b" ", 2)
        if len(parts) == 3 and len(parts[0]) == len(parts[1]) and parts[2]:  # noqa: PLR2004 - OLD NEW REF
            updates.append([text(part) for part in parts])
    return updates


def hand_over(record: "dict[str, Any]", state_dir: str, environ: "Mapping[str, str]") -> None:
    """Put the event into the spool, then see to a worker. Raises OSError if the spool cannot be written."""
    from brokers.delivery import spool, statedir, wake

    statedir.prepare(state_dir)
    spool.write(state_dir, record)
    try:
        if wake.wake(state_dir, environ) == "absent":
            say(f"warning: oberon: the push is recorded, and waits: no worker runs for {state_dir}; see `oberon doctor`")
    except OSError as error:
        say(f"warning: oberon: the push is recorded, but no worker could be started: {error.strerror}; run `oberon run`")


def _deliver_or_record(record: "dict[str, Any]", state_dir: str, environ: "Mapping[str, str]") -> None:
    """Inline; whatever stops it, the push goes to the spool whole (what was delivered may then be delivered twice)."""
    try:
        deliver_inline(record, state_dir, environ)
    except BaseException:
        hand_over(record, state_dir, environ)
        raise


def deliver_inline(record: "dict[str, Any]", state_dir: str, environ: "Mapping[str, str]", fault: OSError | None = None) -> None:
    """Read the repository and call the brokers in this process, within `oberon.deadline`. Does not return: the process ends.

    For then nothing that a broker left behind - a thread pool that Python would join, a child that holds the pusher's
    pipe - can make the pusher wait. `fault` is why the spool could not be written, where that is why we are here.
    """
    if sys.flags.no_site:  # `starter` left it out; brokers may be anywhere that Python looks
        import site

        site.main()
    import os

    from brokers.delivery import inline
    from githooks import config, reading
    from payload.push import Event

    configuration = config.load(record["path"], environ)
    _keep_pusher_to_ourselves()
    inline.deliver(
        Event.from_record(record),
        configuration,
        read=reading.read,
        state_dir=state_dir,
        environ=environ,
        say=say,
        read_in_thread=True,
        fault=fault,
    )
    os._exit(0)


def _keep_pusher_to_ourselves() -> None:
    """From now on only `say` reaches the pusher: a broker's child inherits /dev/null."""
    global _pusher  # noqa: PLW0603 - the process has one pusher
    _pusher = posix.dup(STDERR)  # closed on exec
    null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    for number in (STDIN, STDOUT, STDERR):
        posix.dup2(null, number)


def common_dir(git_dir: str) -> str:
    """The git directory that holds refs and configuration: a linked worktree's has only its own HEAD (gitrepository-layout(5))."""
    try:
        with open(f"{git_dir}/commondir", encoding="utf-8", errors="surrogateescape") as file:
            common = file.readline().rstrip("\n")
    except OSError:
        return git_dir
    from brokers.delivery.surroundings import absolute

    return absolute(common if common.startswith("/") else f"{git_dir}/{common}")


def say(line: str) -> None:
    """One line to the pusher; stdout and stderr are the same pipe, and a closed one is no fault of the push."""
    from payload.text import visible

    try:
        posix.write(_pusher, (visible(line) + "\n").encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # the pusher has gone


if __name__ == "__main__":
    sys.exit(main())
