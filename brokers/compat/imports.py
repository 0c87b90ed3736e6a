"""`import` for one broker file of 2008: the modules of `supplied`, made for this file, and all others as ever.

Each file has modules of its own, so `urllib2.install_opener` and `urllib._urlopener = ...` reach no other.
"""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from brokers.compat.supplied import OWN, REMEDIES, RENAMED

_SIMPLEJSON = "django.utils.simplejson"


class Imports:
    """Stands for `__import__` in one file's built-in names."""

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}

    def __call__(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - as the built-in one calls it
        locals: Mapping[str, Any] | None = None,  # noqa: A002 - likewise
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """As the built-in `__import__` (The Python Standard Library, Built-in Functions)."""
        wanted = tuple(fromlist or ())
        module = self._supplied(name, wanted) if level == 0 else None
        if module is None:
            return _real(name, globals, locals, wanted, level)
        for one in wanted:
            if one != "*" and not hasattr(module, one):
                raise ImportError(_missing(module.__name__, one), name=name)
        return module

    def _supplied(self, name: str, wanted: tuple[str, ...]) -> ModuleType | None:
        """What is bound by `import name`, or what `from name import wanted` takes from; None if it is none of ours."""
        if name in RENAMED:
            # `import email.MIMEText` would bind `email`, which has no such name.
            return importlib.import_module(RENAMED[name]) if wanted or "." not in name else None
        if name == _SIMPLEJSON:
            return self.module("simplejson") if wanted else self.module("django")
        if name == "django.utils" and "simplejson" in wanted:
            return self.module(name)
        top, dot, _ = name.partition(".")
        if top not in OWN or top == "django" or (dot and wanted):
            return None
        if top == "urllib":
            _real(name, None, None, wanted, 0)  # loads the submodule, which is then found
        return self.module(top)

    def module(self, name: str) -> ModuleType:
        """This file's module `name`, one of OWN."""
        if name not in self._modules:
            real = _simplejson() if name == "simplejson" else None
            self._modules.setdefault(name, real or self._made(name))  # two threads may be at it
        return self._modules[name]

    def _made(self, name: str) -> ModuleType:
        module = ModuleType(name)
        module.__dict__.update(_NAMES[name](self, module))
        module.__dict__["__getattr__"] = _rest_of(module, OWN[name])
        return module


def _rest_of(module: ModuleType, real_name: str) -> Callable[[str], object]:
    """The module's `__getattr__` (PEP 562): the names that the module of Python 3 has."""
    own = [name for name in vars(module) if not name.startswith("_")]

    def rest(name: str) -> object:
        try:
            real = importlib.import_module(real_name) if real_name else None
        except ImportError:
            real = None
        if name == "__all__":
            return sorted({*own, *getattr(real, "__all__", ())})
        if not hasattr(real, name):
            raise AttributeError(_missing(module.__name__, name))
        return getattr(real, name)

    return rest


def _simplejson() -> ModuleType | None:
    """The real one, where it is installed."""
    try:
        return importlib.import_module("simplejson")
    except ImportError:
        return None


def _real(
    name: str, globals_: Mapping[str, Any] | None, locals_: Mapping[str, Any] | None, wanted: Sequence[str], level: int
) -> ModuleType:
    try:
        return builtins.__import__(name, globals_, locals_, wanted, level)
    except ModuleNotFoundError as error:
        remedy = REMEDIES.get(error.name or "")
        if remedy is None:
            raise
        raise ModuleNotFoundError(f"{error.msg}: {remedy}", name=error.name) from None


def _missing(module: str, name: str) -> str:
    return f"{module}.{name} is neither in Python 3 nor supplied to brokers of 2008; brokers/compat/README.md has what is"


def _urllib(_: Imports, module: ModuleType) -> dict[str, object]:
    from brokers.compat import urllib1

    return urllib1.names(module)


def _urllib2(_: Imports, __: ModuleType) -> dict[str, object]:
    from brokers.compat import urllib2

    return urllib2.names()


def _xmlrpclib(_: Imports, __: ModuleType) -> dict[str, object]:
    from brokers.compat import xmlrpclib

    return {"Server": xmlrpclib.ServerProxy, "ServerProxy": xmlrpclib.ServerProxy}


def _format(_: Imports, module: ModuleType) -> dict[str, object]:
    from brokers.compat import formats

    return dict(formats.NAMES[module.__name__])


_NAMES: Mapping[str, Callable[[Imports, ModuleType], dict[str, object]]] = {
    "base64": _format,
    "cgi": _format,
    "django": lambda imports, _: {"utils": imports.module("django.utils")},
    "django.utils": lambda imports, _: {"simplejson": imports.module("simplejson")},
    "simplejson": _format,
    "urllib": _urllib,
    "urllib2": _urllib2,
    "xmlrpclib": _xmlrpclib,
}
