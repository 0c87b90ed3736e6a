"""How a secret may be written."""

import json
from urllib.parse import quote, urlencode

import pytest
import requests

from brokers.secrets import spellings

SECRET = 'a/b c+d="é"&%'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        urlencode({"t": SECRET}),
        quote(SECRET),
        quote(SECRET, safe=""),
        json.dumps({"t": SECRET}),
        json.dumps({"t": SECRET}, ensure_ascii=False),
        requests.Request("GET", "http://example.org/", params={"t": SECRET}).prepare().url,
        requests.Request("GET", f"http://example.org/?t={SECRET}").prepare().url,
    ],
)
def test_it_is_found_however_it_is_written(written):
    assert any(spelling in written for spelling in spellings([SECRET]))


def test_the_longest_comes_first():
    assert spellings(["abcd", "abcdef"]) == ["abcdef", "abcd"]
    assert spellings([]) == []
