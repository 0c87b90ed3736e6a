"""Wake the worker, or start one that outlives the push. On the hooks' path: `os`, `errno`, `fcntl` and `_socket` only.

A child that holds the hook's stdout or stderr keeps the pusher waiting (receive-pack and hg's ssh peer read until every
holder has closed), a thread dies with the process or is waited for, and a fork in hgweb keeps its listening port. So the
worker is a new process with /dev/null on its three standard descriptors, a session of its own, no other descriptor,
`/` as its directory, and `python -I`, so that nothing that was pushed lies on its import path.

In a shared state directory the worker is a service, of one user; what a hook starts would be another's.
"""

from __future__ import annotations

import errno
import os
import sys

from brokers.delivery.statedir import is_shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LOCK = "worker.lock"
SOCKET = "oberon.sock"
NOBODY_LISTENS = (errno.ENOENT, errno.ECONNREFUSED)

# What the worker keeps of the pusher's environment: where home, state and configuration are, and the language.
# Nothing that points git or Python at what was pushed, no proxy, no secret of a forge.
KEPT_VARIABLES = (
    "CREDENTIALS_DIRECTORY",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "HGRCPATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "PATH",
    "TZ",
    "USER",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
)

# SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGCHLD: a server may have ignored some, and exec keeps that. `signal` costs 10 ms.
DEFAULT_SIGNALS = (1, 2, 3, 13, 15, 17)

_BOOTSTRAP = "import sys; sys.path.extend(sys.argv.pop(1).split(':')); from brokers.cli.main import main; sys.exit(main())"


def wake(state_dir: str, environ: Mapping[str, str]) -> str:
    """See to it that a worker looks at the spool: `woken`, `started`, `left` (one runs, as far as one can see, and scans
    every 5 s), or `absent` (none listens, and in a shared state directory none is started). Call it after the event is in
    the spool. Raises OSError if no process can be started.
    """
    failure = _send(state_dir)
    if failure == 0:
        return "woken"
    if is_shared(state_dir):
        return "absent" if failure in NOBODY_LISTENS else "left"
    if is_held(os.path.join(state_dir, LOCK)):
        return "left"
    start(state_dir, environ)
    return "started"


def start(state_dir: str, environ: Mapping[str, str]) -> None:
    """Start a worker that leaves by itself when nothing is due. Raises OSError. Two at once do no harm: one gets the lock."""
    null = os.devnull
    arguments = command(state_dir, "--leave-when-idle")
    actions: list[tuple[object, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, null, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, null, os.O_WRONLY, 0),
    ]
    # Python's own descriptors close themselves on exec; those inherited from a server need not.
    actions += [(os.POSIX_SPAWN_CLOSE, number) for number in _inheritable()]
    _reap()
    number = os.posix_spawn(
        arguments[0],
        arguments,
        child_environment(environ),
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=DEFAULT_SIGNALS,
    )
    _started.append(number)


_started: list[int] = []


def _reap() -> None:
    """Let go of the workers that have left: in a web server that stays, each would be a zombie for as long as it runs."""
    for number in _started[:]:
        try:
            if os.waitpid(number, os.WNOHANG)[0] == 0:
                continue  # it works still
        except ChildProcessError:
            pass  # a fork's parent has it, or the server waits for all of its children
        try:
            _started.remove(number)
        except ValueError:
            pass  # another thread was quicker


def command(state_dir: str, *options: str) -> list[str]:
    """The argument list of `oberon run OPTIONS` for `state_dir`; the worker changes to `/` itself."""
    return [python(), "-I", "-c", _BOOTSTRAP, import_path(), "run", "--state-dir", os.path.abspath(state_dir), *options]


def python() -> str:
    """This Python's program. Where it is embedded (mod_wsgi, uWSGI), `sys.executable` may be the server's."""
    if "python" in os.path.basename(sys.executable or ""):
        return sys.executable
    return os.path.join(sys.exec_prefix, "bin", "python3")


def import_path() -> str:
    """Directories, joined by `:`, that `python -I` lacks but this process imported Oberon from."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What of `environ` a process that outlives the push may see."""
    return {name: environ[name] for name in KEPT_VARIABLES if name in environ}


def address(state_dir: str, descriptor: int) -> str:
    """The socket's address through an open descriptor of `state_dir`: a socket's path may have 107 bytes only (unix(7))."""
    path = os.path.join(state_dir, SOCKET)
    return path if len(os.fsencode(path)) < 100 else f"/proc/self/fd/{descriptor}/{SOCKET}"  # noqa: PLR2004 - below the limit


def _send(state_dir: str) -> int:
    """One datagram to a live worker; 0, or the error's number when there is none or it is not ours to wake."""
    try:
        from _socket import AF_UNIX, MSG_DONTWAIT, SOCK_DGRAM, socket  # `socket` itself costs 15 ms
    except ImportError:
        from socket import AF_UNIX, MSG_DONTWAIT, SOCK_DGRAM, socket  # type: ignore[assignment]  # the class over the same one
    try:
        descriptor = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return error.errno or errno.EIO
    channel = socket(AF_UNIX, SOCK_DGRAM)
    try:
        channel.sendto(b"new", MSG_DONTWAIT, address(state_dir, descriptor))
    except BlockingIOError:
        return 0  # its queue is full of wake-ups
    except OSError as error:
        return error.errno or errno.EIO
    finally:
        channel.close()
        os.close(descriptor)
    return 0


def is_held(path: str) -> bool:
    """Whether a process holds the lock file at `path`; False if that cannot be told."""
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _inheritable() -> list[int]:
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except (OSError, ValueError):
        return []
    found = []
    for number in numbers:
        try:
            if number > 2 and os.get_inheritable(number):  # noqa: PLR2004 - after stdin, stdout, stderr
                found.append(number)
        except OSError:
            continue  # the listing's own descriptor
    return found
