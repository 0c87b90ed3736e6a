"""The script that hooks link to: the console script, or, where it can be made, one that starts in half of its time.

A console script imports `re` for its own name (5 ms with pip before 25), and has Python look for `.pth` files and take itself
apart at the end; the hook needs none of that. No installer keeps a script's options for Python, so this one is made afterwards,
in a venv or one of pipx, as `libexec/oberon-post-receive`, and beside it what a push imports in one file (`githooks.bundle`).
What it cannot import, the console script is asked for.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from brokers.delivery.wake import import_path
from brokers.errors import ConfigError
from githooks import bundle as bundles

SCRIPT = "oberon-post-receive"
_MAX_INTERPRETER = 100  # characters; what a kernel reads of a first line may be 127 (execve(2))

_TEXT = """\
#!{python} -IS
# {script} in less time, made by `oberon install`.
import posix
import sys
from _frozen_importlib_external import MAGIC_NUMBER
from marshal import loads

sys.path.append({path!r})
try:
    file = posix.open({bundle!r}, posix.O_RDONLY | posix.O_CLOEXEC)
    if posix.read(file, 4) == MAGIC_NUMBER:
        code, modules = loads(posix.read(file, 1 << 20))
        names = {{"__name__": "githooks.bundle"}}
        exec(code, names)
        sys.meta_path.insert(0, names["Bundle"](modules))
    posix.close(file)
except Exception:
    pass  # its modules are then found one by one
try:
    from githooks.post_receive import main
except Exception:  # Oberon has been installed anew, elsewhere; or a file is damaged
    posix.execv({script!r}, sys.argv)
posix._exit(main())
"""


def script() -> Path:
    """What hooks are to link to. Raises ConfigError if Oberon was not installed with a console script."""
    slow = _console_script()
    python, path = sys.executable, Path(sys.prefix) / "libexec" / SCRIPT
    if sys.prefix == sys.base_prefix or len(python) > _MAX_INTERPRETER or " " in python:
        return slow
    bundle = path.with_suffix(".bundle")
    text = _TEXT.format(python=python, script=str(slow), path=import_path(), bundle=str(bundle))
    try:
        if not path.is_file() or path.read_text("utf-8", "surrogateescape") != text:
            _write(path, text.encode("utf-8", "surrogateescape"), 0o755)
    except OSError:
        return slow  # another user's
    _pack(bundle)
    return path


def renew() -> None:
    """Make both anew if Oberon has been upgraded since: until that is done its hooks start more slowly, no more. Raises nothing.

    Both, for it may be elsewhere now, and the script is to find there what the bundle does not have.
    """
    bundle = (Path(sys.prefix) / "libexec" / SCRIPT).with_suffix(".bundle")
    try:
        is_current = bundles.is_current(bundle.read_bytes())
    except OSError:
        return  # there is none to be renewed
    except Exception:  # of a damaged one `marshal` may raise SystemError and MemoryError too
        is_current = False
    if not is_current:
        try:
            script()
        except ConfigError:
            pass  # not by this one, which has no console script


def _pack(bundle: Path) -> None:
    try:
        _write(bundle, bundles.packed(), 0o644)
    except (ImportError, OSError, SyntaxError, ValueError):
        pass  # a source is not there, or not whole; it only takes longer


def _console_script() -> Path:
    beside = Path(sys.executable).parent / SCRIPT
    if beside.is_file():
        return beside
    found = shutil.which(SCRIPT)
    if found is None:
        raise ConfigError(f"there is no {SCRIPT} beside {sys.executable}", remedy="install Oberon with pip or pipx")
    return Path(found).absolute()


def _write(path: Path, content: bytes, mode: int) -> None:
    """At every moment the old one or the new one is there; whoever pushes may run it, whatever the umask."""
    if not path.parent.is_dir():
        path.parent.mkdir()
        path.parent.chmod(0o755)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        draft.chmod(mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
