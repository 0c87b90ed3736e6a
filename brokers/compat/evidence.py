"""For which Python a file was written, told from the names it uses."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from brokers.compat.language import DICTIONARY_METHODS, NAMES
from brokers.compat.supplied import GONE_MODULES, GONE_NAMES

_MISSED = frozenset({"ImportError", "ModuleNotFoundError", "NameError", "AttributeError", "Exception"})
_PACKAGES_OF_3 = frozenset({"urllib", "http"})


def is_of_2008(tree: ast.Module) -> bool:
    """Whether the file uses a name that Python 2 had and Python 3 has not.

    `try: import json` with `except ImportError: import simplejson as json` is no evidence, in either order: the file manages by
    itself where one of the two ways is there.
    """
    return _any_gone([tree])


def knows_python_3(tree: ast.Module) -> bool:
    """Whether the file also has what only Python 3 has, or asks which of them it runs under."""
    return any(_is_of_3(node) for node in ast.walk(tree))


class _Search(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found = False

    def visit_Try(self, node: ast.Try) -> None:
        if _is_choice(node):
            one_way, other_way = _any_gone(node.body), _any_gone(node.handlers)
            self.found = self.found or (one_way and other_way) or _any_gone([*node.orelse, *node.finalbody])
        else:
            self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        self.found = self.found or _is_gone(node)
        if not self.found:
            super().generic_visit(node)


def _any_gone(nodes: Iterable[ast.AST]) -> bool:
    search = _Search()
    for node in nodes:
        search.visit(node)
    return search.found


def _is_choice(node: ast.Try) -> bool:
    """Whether it only looks a name up, and has another way where there is none."""
    return all(_is_look_up(statement) for statement in node.body) and any(
        handler.type is None or any(isinstance(name, ast.Name) and name.id in _MISSED for name in ast.walk(handler.type))
        for handler in node.handlers
    )


def _is_look_up(statement: ast.stmt) -> bool:
    match statement:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.Assign(value=ast.Name() | ast.Attribute()) | ast.Expr(value=ast.Name() | ast.Attribute()):
            return True
    return False


def _is_gone(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=aliases):
            # Under another name, what of it is used cannot be seen; but Python 3's `urllib` alone has nothing to use.
            return any(alias.name in GONE_MODULES or (alias.name == "urllib" and alias.asname) for alias in aliases)
        case ast.ImportFrom(module=str(module), names=aliases, level=0):
            modules = {module, *(f"{module}.{alias.name}" for alias in aliases)}
            return bool(modules & GONE_MODULES) or any((module, alias.name) in GONE_NAMES for alias in aliases)
        case ast.Attribute(value=ast.Name(id=module), attr=name) if (module, name) in GONE_NAMES:
            return True
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in DICTIONARY_METHODS
        case ast.Name(id=name, ctx=ast.Load()):
            return name in NAMES
    return False


def _is_of_3(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=aliases):
            return any(dot and package in _PACKAGES_OF_3 for package, dot, _ in (name.name.partition(".") for name in aliases))
        case ast.ImportFrom(module=str(module), level=0):
            package, dot, _ = module.partition(".")
            return bool(dot) and package in _PACKAGES_OF_3
        case ast.Attribute(attr=name):
            return name == "version_info"
        case ast.JoinedStr() | ast.AnnAssign() | ast.AsyncFunctionDef() | ast.Nonlocal():
            return True
        case ast.arg(annotation=annotation):
            return annotation is not None
    return False
