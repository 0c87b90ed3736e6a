"""Brokers of 2008 run unchanged: what a file of `brokerPath` imports, and Python 3 no longer has, is supplied to that file.

In: the source of one file. Out: its code, and a module that finds `urllib.FancyURLopener`, `urllib2`, `simplejson` and their
like. Nobody else sees them: `sys.modules` and the other files stay as they are. What is supplied speaks through
`brokers.transport`.
"""

from __future__ import annotations

import ast
from types import CodeType, ModuleType

from brokers.errors import BrokerLoadError


def prepare(module: ModuleType, source: bytes, path: str) -> CodeType:
    """The code of the broker file `path`, for `exec` in `module`, which is given the names of 2008 if the file uses any.

    A file that uses none is compiled as any other, and its module left alone.
    Raises BrokerLoadError where Python 3 cannot read it: the line, what is wrong, and for Python 2's syntax the way out.
    """
    from brokers.compat import evidence, syntax

    try:
        tree = ast.parse(source, path)
        if flaw := syntax.misread(tree, source):
            raise BrokerLoadError(path, flaw)
        if not evidence.is_of_2008(tree):
            return compile(tree, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise BrokerLoadError(path, syntax.told(error, source)) from error
    except (ValueError, RecursionError, MemoryError) as error:  # a NUL byte; more nesting than the parser takes
        raise BrokerLoadError(path, f"is no Python source: {error or type(error).__name__}") from error
    from brokers.compat import language
    from brokers.compat.imports import Imports

    module.__dict__["__builtins__"] = {**language.names(), "__import__": Imports()}
    return compile(language.rewritten(tree, text=not evidence.knows_python_3(tree)), path, "exec", dont_inherit=True)
