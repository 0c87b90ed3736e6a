import ast
import builtins
import sys
import warnings
from types import ModuleType

import pytest

from brokers.compat import evidence, prepare, syntax
from brokers.errors import BrokerLoadError
from tests.support import brokers_of_2008

REWRITE = "; it is Python 2's; `2to3 -w FILE`"


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ('    print "pushed"', "write print(...)"),
        ('    print "%s" % 1, 2', "write print(...)"),
        ('    print >>log, "pushed"', "write print(..., file=...)"),
        ("    print `payload`", "write print(...)"),
        ("    name = `payload`", "write repr(...) instead of backticks"),
        ("    if 1 <> 2: pass", "write != instead of <>"),
        ("    os.chmod(path, 0755)", "write octal numbers as 0o777"),
        ("    size = 10L", "write the number without L"),
        ("    size = 0xFFL", "write the number without L"),
        ('    raise ValueError, "no commits"', 'write `raise E("...")`'),
        ('    exec "x = 1"', "write exec(code, names)"),
        ("    pattern = ur'x'", "write r'...' instead of ur'...'"),
        ("    key = lambda (a, b): b", "take one argument and unpack it in the body"),
        ("    def pair(self, (a, b)): return a", "take one argument and unpack it in the body"),
        ("    try: pass\n    except IOError, e: pass", "write `except X as e:`"),
        ("    try: pass\n    except (IOError, ValueError), e: pass", "write `except X as e:`"),
    ],
)
def test_the_syntax_of_python_2_is_refused_with_the_line_and_the_remedy(line, remedy):
    source = f"def handle():\n{line}\n"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's own, of a number that runs into a word
        with pytest.raises(BrokerLoadError) as raised:
            prepare(ModuleType("own"), source.encode(), "own.py")
    last = line.split("\n")[-1].strip()
    number = 1 + len(line.split("\n"))
    assert raised.value.place == "own.py"
    assert raised.value.reason.startswith(f"line {number}: `{last}`: {remedy}{REWRITE}")


def test_tabs_and_spaces_mixed_are_refused_with_the_remedy():
    with pytest.raises(BrokerLoadError, match=r"^own.py: line 3: `y = 2`: tabs and spaces are mixed: indent with spaces only"):
        prepare(ModuleType("own"), b"if True:\n        x = 1\n\ty = 2\n", "own.py")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"def broken(:\n", "line 1: `def broken(:`: SyntaxError: invalid syntax"),
        (b"x = 1\n\0\n", "null bytes"),
        (b"# -*- coding: nothing -*-\n", "unknown encoding"),
        (b"x = '\x1b[31m\n", "line 1: `x = '\\x1b[31m`: SyntaxError: unterminated string literal"),
        (b"(" * 500, "line 1"),
    ],
)
def test_what_no_python_can_read_is_refused_without_a_remedy_of_python_2(source, reason):
    with pytest.raises(BrokerLoadError) as raised:
        prepare(ModuleType("own"), source, "own.py")
    assert reason in raised.value.reason
    assert "Python 2" not in raised.value.reason


@pytest.mark.parametrize(
    "source", [b"import os, urllib.request\nx = urllib.request.quote('a b')\n", b"import base64, cgitb_or_not\n"]
)
def test_a_file_that_uses_nothing_of_python_2_is_left_alone(source):
    module = ModuleType("own")
    code = prepare(module, source, "own.py")
    assert "__builtins__" not in vars(module)
    assert code == compile(source, "own.py", "exec", dont_inherit=True)


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    from urllib import urlencode\nexcept ImportError:\n    from urllib.parse import urlencode\n",
        "try:\n    unicode\nexcept NameError:\n    unicode = str\n",
        "try:\n    import json\nexcept ImportError:\n    import simplejson as json\n",
        "import urllib, urllib.parse\ntry:\n    quote = urllib.quote\nexcept AttributeError:\n    quote = urllib.parse.quote\n",
        "def f(reading):\n    return reading.urlopen, 'urllib2', long_name\n",
    ],
)
def test_a_file_that_manages_by_itself_is_left_alone(source):
    module = ModuleType("own")
    prepare(module, source.encode(), "own.py")
    assert "__builtins__" not in vars(module)


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import simplejson\nexcept ImportError:\n    from django.utils import simplejson\n",
        "import urllib\ntry:\n    data = urllib.urlencode({})\nexcept Exception:\n    data = None\n",
        "import urllib as u\nu.urlencode({})\n",
        "def f(d):\n    return d.has_key(1)\n",
    ],
)
def test_a_file_that_does_not_manage_is_given_the_names(load, source):
    assert "__builtins__" in vars(load(source))
    assert vars(load(source))["__builtins__"]["__import__"] is not builtins.__import__


def test_the_imports_of_the_future_are_the_files_own():
    module = ModuleType("own")
    exec(prepare(module, b"def f(x: int): pass\n", "own.py"), module.__dict__)
    assert module.f.__annotations__ == {"x": int}


@pytest.mark.parametrize(
    ("source", "refused"),
    [
        ("try: pass\nexcept (IOError, e): print(e)\n", True),
        ("try: pass\nexcept ((IOError, OSError), e): pass\n", True),
        ("try: pass\nexcept (IOError, OSError): pass\n", False),
        ("class Own(Exception): pass\ntry: pass\nexcept (IOError, Own): pass\n", False),
        ("from socket import error\ntry: pass\nexcept (IOError, error): pass\n", False),
        ("import socket\ntry: pass\nexcept (IOError, socket.error): pass\n", False),
        ("kinds = ()\ntry: pass\nexcept (IOError, kinds): pass\n", False),
    ],
)
def test_an_unbound_exception_is_refused_also_where_python_3_14_takes_it_for_two_kinds(source, refused):
    tree = ast.parse(source)
    [kinds] = [node.type for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    assert syntax.misread(tree, source.encode()) is None  # with brackets it always meant two kinds
    kinds.col_offset = kinds.elts[0].col_offset  # as 3.14 reads it without
    told = syntax.misread(tree, source.encode())
    assert (told is not None) == refused
    assert told is None or ": write `except X as e:`" in told


@pytest.mark.parametrize("name", brokers_of_2008.ALL)
def test_brokers_of_2008_are_told_from_others(name):
    tree = ast.parse(brokers_of_2008.ALL[name])
    assert evidence.is_of_2008(tree)
    assert not evidence.knows_python_3(tree)


def test_nobody_else_sees_what_is_supplied(load):
    before = {name: sys.modules.get(name) for name in ("urllib", "urllib2", "simplejson", "django", "StringIO")}
    one = load("import urllib, urllib2, StringIO\nfrom django.utils import simplejson\nunicode\n")
    two = load("import urllib, urllib2\n")
    assert {name: sys.modules.get(name) for name in before} == before
    assert not hasattr(builtins, "unicode")
    assert not hasattr(sys.modules["urllib"], "urlencode")
    assert one.urllib is not two.urllib
    assert one.urllib2 is not two.urllib2
    one.urllib._urlopener = object()
    assert two.urllib._urlopener is None


def test_a_traceback_names_the_line_of_the_file(load):
    module = load("import urllib2\n\ndef f(x):\n    x.has_key(1)\n    raise KeyError(x)\n")
    with pytest.raises(KeyError) as raised:
        module.f({})
    assert raised.traceback[-1].lineno == 4
    assert str(raised.traceback[-1].path) == "/etc/oberon/brokers/own.py"
