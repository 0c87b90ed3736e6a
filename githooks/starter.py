"""The script that hooks link to: the console script, or, where it can be made, one that starts in half of its time.

A console script imports `re` for its own name (5 ms with pip before 25), and has Python look for `.pth` files and take itself
apart at the end; the hook needs none of that. No installer keeps a script's options for Python, so this one is made afterwards,
in a venv or one of pipx, as `libexec/oberon-post-receive`. What it cannot import, the console script is asked for.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from brokers.delivery.wake import import_path
from brokers.errors import ConfigError

SCRIPT = "oberon-post-receive"
_MAX_INTERPRETER = 100  # characters; what a kernel reads of a first line may be 127 (execve(2))

_TEXT = """\
#!{python} -IS
# {script} in less time, made by `oberon install`.
import os
import sys

sys.path.append({path!r})
try:
    from githooks.post_receive import main
except ImportError:  # Oberon has been installed anew, elsewhere
    os.execv({script!r}, sys.argv)
os._exit(main())
"""


def script() -> Path:
    """What hooks are to link to. Raises ConfigError if Oberon was not installed with a console script."""
    slow = _console_script()
    python, path = sys.executable, Path(sys.prefix) / "libexec" / SCRIPT
    if sys.prefix == sys.base_prefix or len(python) > _MAX_INTERPRETER or " " in python:
        return slow
    text = _TEXT.format(python=python, script=str(slow), path=import_path())
    try:
        if not path.is_file() or path.read_text("utf-8", "surrogateescape") != text:
            _write(path, text)
    except OSError:
        return slow  # another user's
    return path


def _console_script() -> Path:
    beside = Path(sys.executable).parent / SCRIPT
    if beside.is_file():
        return beside
    found = shutil.which(SCRIPT)
    if found is None:
        raise ConfigError(f"there is no {SCRIPT} beside {sys.executable}", remedy="install Oberon with pip or pipx")
    return Path(found).absolute()


def _write(path: Path, text: str) -> None:
    """At every moment the old one or the new one is there; whoever pushes may run it, whatever the umask."""
    if not path.parent.is_dir():
        path.parent.mkdir()
        path.parent.chmod(0o755)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, "utf-8", "surrogateescape")
        draft.chmod(0o755)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
