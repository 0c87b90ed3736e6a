"""What to write instead where Python 3 cannot read a file, or reads it otherwise than Python 2 did."""

from __future__ import annotations

import ast
import builtins
import re

from payload import text

_SHOWN_CHARS = 80
_REWRITE = "it is Python 2's; `2to3 -w FILE`, which came with Python up to 3.12, rewrites all such lines"

# On the line that a SyntaxError names, the first that matches: pattern, remedy.
_PYTHON_2 = tuple(
    (re.compile(pattern), remedy)
    for pattern, remedy in (
        (r"\bprint\s+[^\s(=]|\bprint\s*\(.*\)\s*%|^\s*print\s+\(", "write print(...)"),
        (r"\bexcept\b[^:#]*,\s*[A-Za-z_]\w*\s*:", "write `except X as e:`"),
        (r"\braise\b\s+[\w.]+\s*,", 'write `raise E("...")`'),
        (r"\bexec\s+[^\s(=]", "write exec(code, names)"),
        (r"`", "write repr(...) instead of backticks"),
        (r"<>", "write != instead of <>"),
        (r"(?<![\w.])0[0-7]+\b", "write octal numbers as 0o777"),
        (r"(?<![\w.])\d+[lL]\b|\b0[xX][0-9a-fA-F]+[lL]\b", "write the number without L"),
        (r"\b[uU][rR]['\"]", "write r'...' instead of ur'...'"),
        (r"\blambda\s*\(|\bdef\s+\w+\s*\((?:[^()]*,)?\s*\(", "take one argument and unpack it in the body"),
    )
)


def told(error: SyntaxError, source: bytes) -> str:
    """A SyntaxError in one line: where, what stands there, what is wrong, and the remedy if Python 2 knew it."""
    if isinstance(error, TabError):
        remedy: str | None = "tabs and spaces are mixed: indent with spaces only, a tab being eight"
    else:
        line = _line(source, error.lineno)
        remedy = next((f"{remedy}; {_REWRITE}" for pattern, remedy in _PYTHON_2 if pattern.search(line)), None)
    return _placed(source, error.lineno, remedy or f"{type(error).__name__}: {error.msg}")


def misread(tree: ast.Module, source: bytes) -> str | None:
    """What Python 3 can read and takes for something else than Python 2 did; None if there is nothing.

    `print >>file, ...` shifts a function, and fails when it runs. `except X, e:` is two kinds of exception since
    Python 3.14 (PEP 758): it means the old thing where nothing in the file, and nothing of Python, is called `e`.
    """
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(left=ast.Name(id="print"), op=ast.RShift()):
                return _placed(source, node.lineno, f"write print(..., file=...); {_REWRITE}")
            case ast.ExceptHandler(type=ast.Tuple(elts=[kind, ast.Name(id=name)]) as kinds):
                # In brackets of its own, the tuple begins before its first member.
                if kinds.col_offset == kind.col_offset and not hasattr(builtins, name) and name not in _bound(tree):
                    return _placed(source, node.lineno, f"write `except X as e:`; {_REWRITE}")
    return None


def _placed(source: bytes, number: int | None, words: str) -> str:
    place = f"line {number}" if number else "the file"
    shown = _line(source, number)[:_SHOWN_CHARS]
    return f"{place}: `{shown}`: {words}" if shown else f"{place}: {words}"


def _line(source: bytes, number: int | None) -> str:
    """Without its indentation, fit for a terminal; '' if there is no such line."""
    lines = source.splitlines()
    return text.visible(lines[number - 1].decode("utf-8", "replace").strip()) if number and number <= len(lines) else ""


def _bound(tree: ast.Module) -> set[str]:
    """The names that are classes, imports or assigned at the top of the file."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return found | {
        target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets if isinstance(target, ast.Name)
    }
