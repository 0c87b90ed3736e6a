"""What a hook finds around it, as `os` would tell it, and what of that a child of its may see. The first that the hooks import.

On the hooks' path: no `os` (see `brokers.delivery`).
"""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

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
"""What the worker keeps of the pusher's environment: where home, state and configuration are, and the language.

Nothing that points git or Python at what was pushed, no proxy, no secret of a forge.
"""


def environment() -> dict[str, str]:
    """`os.environ` as this process was given it."""
    return {text(name): text(value) for name, value in posix.environ.items()}


def child_environment(environ: "Mapping[str, str]") -> dict[str, str]:
    """What of `environ` a process that outlives the push may see."""
    return {name: environ[name] for name in KEPT_VARIABLES if name in environ}


def text(raw: bytes) -> str:
    """`os.fsdecode`."""
    return raw.decode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def absolute(path: str) -> str:
    """`os.path.abspath`; where git calls a hook, the path is `.`, and that takes no `os`."""
    if path == ".":
        return posix.getcwd()
    from os.path import abspath

    return abspath(path)
