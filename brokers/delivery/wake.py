"""Wake the worker, or start one that outlives the push. On the hooks' path: no `os` (see `brokers.delivery`).

A child that holds the hook's stdout or stderr keeps the pusher waiting (receive-pack and hg's ssh peer read until every
holder has closed), a thread dies with the process or is waited for, and a fork in hgweb keeps its listening port. So the
worker is a new process with /dev/null on its three standard descriptors, a session of its own, no other descriptor,
`/` as its directory, and `python -I`, so that nothing that was pushed lies on its import path.

In a shared state directory the worker is a service, of one user; what a hook starts would be another's.
"""

import posix
import sys

from brokers.delivery.statedir import is_shared
from brokers.delivery.surroundings import child_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LOCK = "worker.lock"
SOCKET = "oberon.sock"
NOBODY_LISTENS = (FileNotFoundError, ConnectionRefusedError)

# SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGCHLD: a server may have ignored some, and exec keeps that. `signal` costs 10 ms.
DEFAULT_SIGNALS = (1, 2, 3, 13, 15, 17)

_BOOTSTRAP = "import sys; sys.path.extend(sys.argv.pop(1).split(':')); from brokers.cli.main import main; sys.exit(main())"


def wake(state_dir: str, environ: "Mapping[str, str]") -> str:
    """See to it that a worker looks at the spool: `woken`, `started`, `left` (one runs, as far as one can see, and scans
    every 5 s), or `absent` (none listens, and in a shared state directory none is started). Call it after the event is in
    the spool. Raises OSError if no process can be started.
    """
    failure = _send(state_dir)
    if failure is None:
        return "woken"
    if is_shared(state_dir):
        return "absent" if isinstance(failure, NOBODY_LISTENS) else "left"
    if is_held(f"{state_dir}/{LOCK}"):
        return "left"
    start(state_dir, environ)
    return "started"


def start(state_dir: str, environ: "Mapping[str, str]") -> None:
    """Start a worker that leaves by itself when nothing is due. Raises OSError. Two at once do no harm: one gets the lock."""
    null = "/dev/null"
    arguments = command(state_dir, "--leave-when-idle")
    actions: list[tuple[object, ...]] = [
        (posix.POSIX_SPAWN_OPEN, 0, null, posix.O_RDONLY, 0),
        (posix.POSIX_SPAWN_OPEN, 1, null, posix.O_WRONLY, 0),
        (posix.POSIX_SPAWN_OPEN, 2, null, posix.O_WRONLY, 0),
    ]
    # Python's own descriptors close themselves on exec; those inherited from a server need not.
    actions += [(posix.POSIX_SPAWN_CLOSE, number) for number in _inheritable()]
    _reap()
    number = posix.posix_spawn(
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
            if posix.waitpid(number, posix.WNOHANG)[0] == 0:
                continue  # it works still
        except ChildProcessError:
            pass  # a fork's parent has it, or the server waits for all of its children
        try:
            _started.remove(number)
        except ValueError:
            pass  # another thread was quicker


def command(state_dir: str, *options: str) -> list[str]:
    """The argument list of `oberon run OPTIONS` for `state_dir`; the worker changes to `/` itself."""
    from os.path import abspath

    return [python(), "-I", "-c", _BOOTSTRAP, import_path(), "run", "--state-dir", abspath(state_dir), *options]


def python() -> str:
    """This Python's program. Where it is embedded (mod_wsgi, uWSGI), `sys.executable` may be the server's."""
    if "python" in (sys.executable or "").rpartition("/")[2]:
        return sys.executable
    return f"{sys.exec_prefix}/bin/python3"


def import_path() -> str:
    """Directories, joined by `:`, that `python -I` lacks but this process imported Oberon from."""
    from os.path import abspath, dirname

    return dirname(dirname(dirname(abspath(__file__))))


def address(state_dir: str, descriptor: int) -> str:
    """The socket's address through an open descriptor of `state_dir`: a socket's path may have 107 bytes only (unix(7))."""
    path = f"{state_dir}/{SOCKET}"
    return path if len(path.encode(errors="surrogateescape")) < 100 else f"/proc/self/fd/{descriptor}/{SOCKET}"  # noqa: PLR2004 - below the limit


def _send(state_dir: str) -> OSError | None:
    """One datagram to a live worker; what was in the way when there is none or it is not ours to wake."""
    try:
        from _socket import AF_UNIX, MSG_DONTWAIT, SOCK_DGRAM, socket  # `socket` itself costs 15 ms
    except ImportError:
        from socket import AF_UNIX, MSG_DONTWAIT, SOCK_DGRAM, socket  # type: ignore[assignment]  # the class over the same one
    try:
        descriptor = posix.open(state_dir, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        return error
    channel = socket(AF_UNIX, SOCK_DGRAM)
    try:
        channel.sendto(b"new", MSG_DONTWAIT, address(state_dir, descriptor))
    except BlockingIOError:
        return None  # its queue is full of wake-ups
    except OSError as error:
        return error
    finally:
        channel.close()
        posix.close(descriptor)
    return None


def is_held(path: str) -> bool:
    """Whether a process holds the lock file at `path`; False if that cannot be told."""
    import fcntl

    try:
        descriptor = posix.open(path, posix.O_RDWR | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        posix.close(descriptor)
    return False


def _inheritable() -> list[int]:
    try:
        numbers = [int(name) for name in posix.listdir("/proc/self/fd")]
    except (OSError, ValueError):
        return []
    found = []
    for number in numbers:
        try:
            if number > 2 and posix.get_inheritable(number):  # noqa: PLR2004 - after stdin, stdout, stderr
                found.append(number)
        except OSError:
            continue  # the listing's own descriptor
    return found
