import io
import json
import sys
from types import ModuleType

import pytest


@pytest.fixture
def _no_simplejson(monkeypatch):
    monkeypatch.setitem(sys.modules, "simplejson", None)


@pytest.mark.usefixtures("_no_simplejson")
@pytest.mark.parametrize(
    "line",
    [
        "import simplejson as sj",
        "from django.utils import simplejson as sj",
        "import django.utils.simplejson as sj",
        "import django.utils.simplejson\nsj = django.utils.simplejson",
        "import django\nimport simplejson as sj",
    ],
)
def test_json_under_each_of_its_names(load, line):
    if line.startswith("import django\n"):
        with pytest.raises(ModuleNotFoundError, match="django"):
            load(line)
        return
    sj = load(line).sj
    assert sj.loads(sj.dumps({"a": b"gr\xc3\xbcn", "b": [1, None]})) == {"a": "grün", "b": [1, None]}
    assert sj.dumps({"a": b"gr\xfcn"}, encoding="latin-1", indent=1) == '{\n "a": "gr\\u00fcn"\n}'
    assert sj.loads(b'"gr\xfcn"', encoding="latin-1") == "grün"
    file = io.StringIO()
    sj.dump([1], file)
    assert sj.load(io.StringIO(file.getvalue())) == [1]
    assert sj.JSONEncoder is json.JSONEncoder
    with pytest.raises(TypeError, match="is not JSON serializable"):
        sj.dumps(object())


@pytest.mark.usefixtures("_no_simplejson")
def test_names_of_json_imported_one_by_one(load):
    module = load("from django.utils.simplejson import dumps, JSONEncoder\nfrom simplejson import *\n")
    assert module.dumps([b"x"]) == '["x"]'
    assert module.JSONDecoder is json.JSONDecoder


def test_an_installed_simplejson_is_taken(load, monkeypatch):
    installed = ModuleType("simplejson")
    monkeypatch.setitem(sys.modules, "simplejson", installed)
    assert load("import simplejson\n").simplejson is installed


def test_base64_of_text_is_text(load):
    module = load("import base64\nlogin = base64.encodestring('%s:%s' % ('ann', u's\\xfc'))[:-1]\nrest = base64\n")
    assert module.login == "YW5uOnPDvA=="
    assert module.rest.b64encode(b"ann") == "YW5u"
    assert module.rest.b64decode("YW5u") == b"ann"


def test_escape_of_cgi(load):
    module = load("from cgi import escape\nimport cgi\nthere = [escape('<a & \"b\\'>'), cgi.escape('\"<', True)]\n")
    assert module.there == ["&lt;a &amp; \"b'&gt;", "&quot;&lt;"]
