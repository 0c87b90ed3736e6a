"""What Python 2's language had: built-in names, methods of dictionaries, and text that is encoded and stays text.

A broker of 2008 writes `'%s: %s' % (author, message.encode('utf-8'))`. To Python 3 the result of `encode` is no text, and
what is sent would read `b'...'`, without any error. So in such a file text stays text, and what is supplied sends it as UTF-8;
`bytes(text, 'utf-8')` is there for who needs bytes.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Mapping
from typing import Any

NAMES: Mapping[str, object] = {"unicode": str, "basestring": str, "long": int, "xrange": range}
"""Built-in names of Python 2, as what Python 3 calls them."""

_CALL = "__oberon_call_of_2008__"


def _has_key(owner: Any, key: object) -> bool:
    return key in owner


def _encode(owner: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    encoded = owner.encode(encoding, errors)
    return encoded.decode(encoding) if isinstance(encoded, bytes) else encoded


def _decode(owner: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:  # noqa: ARG001 - as a method of 2008 takes it
    return owner


_OF_DICTIONARIES: Mapping[str, Callable[..., Any]] = {
    "has_key": _has_key,
    "iteritems": lambda owner: iter(owner.items()),
    "iterkeys": lambda owner: iter(owner.keys()),
    "itervalues": lambda owner: iter(owner.values()),
}
_OF_TEXT: Mapping[str, Callable[..., Any]] = {"encode": _encode, "decode": _decode}
DICTIONARY_METHODS = frozenset(_OF_DICTIONARIES)
"""Methods that Python 3's own types have no more."""


def names() -> dict[str, object]:
    """All built-in names, for a file of 2008."""
    return {**vars(builtins), **NAMES, _CALL: _call}


def rewritten(tree: ast.Module, *, text: bool) -> ast.Module:
    """`tree` with calls of the dictionaries' methods, and with `text` of those of strings, made as Python 2 meant them.

    Lines and columns stay as they are.
    """
    _Methods({*_OF_DICTIONARIES, *(_OF_TEXT if text else ())}).visit(tree)
    return ast.fix_missing_locations(tree)


def _call(name: str, owner: Any, *arguments: Any, **named: Any) -> Any:
    """`owner.name(...)`, as Python 2 meant it."""
    if isinstance(owner, str) and name in _OF_TEXT:
        return _OF_TEXT[name](owner, *arguments, **named)
    if name in _OF_DICTIONARIES and not hasattr(owner, name):
        return _OF_DICTIONARIES[name](owner, *arguments, **named)
    return getattr(owner, name)(*arguments, **named)


class _Methods(ast.NodeTransformer):
    def __init__(self, names: set[str]) -> None:
        self._names = names

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node.func:
            case ast.Attribute(value=owner, attr=name) if name in self._names:
                called = ast.copy_location(ast.Name(_CALL, ast.Load()), node.func)
                constant = ast.copy_location(ast.Constant(name), node.func)
                return ast.copy_location(ast.Call(called, [constant, owner, *node.args], node.keywords), node)
        return node
