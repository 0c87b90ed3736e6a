from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from brokers.cli import output


@given(st.text(st.characters(exclude_categories=())))
def test_a_line_for_people_is_one_line_without_controls(raw):
    line = output.repaired(raw)
    assert line.isprintable()
    line.encode("utf-8")


def test_a_table_has_columns_and_no_escapes(capsys):
    output.table(("A", "B"), [("xx", "y"), ("\x1b[31m", "two\nlines")])
    assert capsys.readouterr().out == "A         B\nxx        y\n\\x1b[31m  two\\x0alines\n"


def test_json_is_ascii_and_strict(capsys):
    output.as_json({"é\udcff": ["\x9b", "caf\udcc3\udca9", None, {"n": 1}]})
    told = capsys.readouterr().out
    assert told.isascii()
    assert json.loads(told) == {"é\ufffd": ["\x9b", "café", None, {"n": 1}]}


def test_a_block_keeps_its_lines_and_drops_its_line_ends(capsys):
    output.block("one\r\n\r\ntwo\x07\r\n\r\n", "  ")
    assert capsys.readouterr().out == "  one\n\n  two\\x07\n"


def test_spans():
    seconds = [0, 1.9, 119, 120, 7199, 7200, 172_799, 172_800]
    assert [output.span(each) for each in seconds] == ["0s", "1s", "119s", "2m", "119m", "2h", "47h", "2d"]


def test_times():
    assert output.iso(1_706_929_445.9) == "2024-02-03T03:04:05Z"
    assert output.local(1_706_929_445.9) == "2024-02-03 04:04:05"
    assert output.iso(None) is None
    assert output.local(None) == ""
