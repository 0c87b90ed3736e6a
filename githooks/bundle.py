"""What a push imports, compiled and in one file: found and read one by one, these modules take 0.5 ms more.

A module from here stands for its source as long as that has the time and the size it had, as with `.pyc` files. Any other, and
all of them under another Python, are left to the import that there always is.

`starter` writes the file. The script that it makes runs the code of this module from there: so nothing is imported at the top
that Python has not loaded by then.
"""

import posix
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader, spec_from_file_location
from marshal import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import CodeType

MODULES = (
    "brokers",
    "brokers.delivery",
    "brokers.delivery.spool",
    "brokers.delivery.statedir",
    "brokers.delivery.surroundings",
    "brokers.delivery.wake",
    "githooks",
    "githooks.asking",
    "githooks.facts",
    "githooks.forge",
    "githooks.post_receive",
)
"""Those of ours that a detached push imports where a worker is awake."""


class Bundle:
    """A finder for `sys.meta_path`. `modules`: name -> path, time in ns and size of the source, compiled code."""

    def __init__(self, modules: dict[str, tuple[str, int, int, bytes]]) -> None:
        self._modules = modules

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> "ModuleSpec | None":
        """The module's, or None: then the next finder is asked."""
        if not self.has(name):
            return None
        source, *_, code = self._modules[name]
        return spec_from_file_location(name, source, loader=_Loader(name, source, code))

    def has(self, name: str) -> bool:
        """Whether it has the module, made from its source as that is now."""
        if name not in self._modules:
            return False
        source, *made_from, _ = self._modules[name]
        try:
            found = posix.stat(source)
        except OSError:
            return False
        return made_from == [found.st_mtime_ns, found.st_size]


class _Loader(SourceFileLoader):
    """As Python's own, but that it need not look for the code."""

    def __init__(self, name: str, path: str, code: bytes) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> "CodeType":  # noqa: ARG002 - a loader has one module
        code: CodeType = loads(self._code)  # noqa: S302 - it is as trusted as a `.pyc` file
        return code


def packed() -> bytes:
    """The file: Python's magic number, 4 bytes; then, marshalled, this module's code and what `Bundle` takes.

    Raises ImportError if a module is not there as source, OSError if that cannot be read, SyntaxError or ValueError if it is cut off.
    """
    modules = {}
    for name in MODULES:
        source = _source(name)
        found = posix.stat(source)
        modules[name] = (source, found.st_mtime_ns, found.st_size, dumps(_code(source)))
    return MAGIC_NUMBER + dumps((_code(_source(__name__)), modules))


def is_current(content: bytes) -> bool:
    """Whether `content`, a file's, is what `packed` gives now. May raise any Exception if it is damaged."""
    if content[:4] != MAGIC_NUMBER:
        return False
    _, modules = loads(content[4:])  # noqa: S302 - as above
    bundle = Bundle(modules)
    return all(bundle.has(name) for name in MODULES)


def _source(name: str) -> str:
    from importlib.util import find_spec

    spec = find_spec(name)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ImportError(f"{name} has no source")
    return spec.origin


def _code(source: str) -> "CodeType":
    """Without docstrings, which are a quarter of it."""
    with open(source, "rb") as file:
        return compile(file.read(), source, "exec", dont_inherit=True, optimize=2)
