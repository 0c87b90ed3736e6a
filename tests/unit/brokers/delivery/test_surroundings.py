"""What hooks do without `os` is what `os` would do."""

import json
import os
import subprocess
import sys

import pytest

from brokers.delivery import surroundings

TELL = """
import json, sys
sys.path.append(sys.argv[1])
from brokers.delivery.surroundings import environment
found = environment()
assert "os" not in sys.modules
import os
print(json.dumps(found == dict(os.environ)), len(found))
"""


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_the_environment_is_that_of_os(locale):
    root = os.path.dirname(os.path.dirname(os.path.dirname(surroundings.__file__)))  # noqa: PTH120
    given = {b"LC_ALL": locale.encode(), b"PUSHED": b"caf\xe9", b"NAME": "Grüße".encode(), b"EMPTY": b""}
    done = subprocess.run([sys.executable, "-IS", "-c", TELL, root], env=given, capture_output=True, text=True, check=True)
    same, count = done.stdout.split()
    assert json.loads(same)
    assert int(count) >= len(given)


@pytest.mark.parametrize("path", [".", "..", "", "a/../b", "./a", "/", "/a/../b", "/a//b/", "caf\udce9"])
def test_a_path_is_made_absolute_as_os_does_it(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    assert surroundings.absolute(path) == os.path.abspath(path)  # noqa: PTH100


@pytest.mark.parametrize("raw", [b"", b"plain", "Grüße".encode(), b"caf\xe9", bytes(range(1, 256))])
def test_bytes_are_text_as_os_decodes_them(raw):
    assert surroundings.text(raw) == os.fsdecode(raw)
