from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.render.diff import MAX_LINE_CHARS, Limits, Room, Shown


def details(diff: str, *truncated: str):
    return {"diff": diff, "truncated": list(truncated)}


def test_a_diff_is_shown_with_its_tabs():
    diff = "@@ -1 +1 @@\n-\told\n+\tnew\n \n"
    assert Room(Limits()).show(details(diff)) == Shown(("@@ -1 +1 @@", "-\told", "+\tnew", " "))


def test_control_characters_are_made_visible():
    shown = Room(Limits()).show(details("+\x1b[2J\u202e\tx\r\n+\udce9\n"))
    assert shown == Shown(("+\\x1b[2J\\u202e\tx\\x0d", "+\ufffd"))


def test_a_line_that_is_no_text_is_cut():
    [line] = Room(Limits()).show(details("+" + "z" * 10_000)).lines
    assert line == "+" + "z" * (MAX_LINE_CHARS - 1) + " [... 9,501 more characters]"


TEN = "".join(f"+line {number}\n" for number in range(10))


@pytest.mark.parametrize(
    ("limits", "cut", "shown", "remark"),
    [
        (Limits(commit_lines=10), (), 10, ""),
        (Limits(commit_lines=9), (), 9, "The diff goes on for 1 line: at most 9 lines a commit are shown."),
        (Limits(mail_lines=4), (), 4, "The diff goes on for 6 lines: at most 4 lines a mail are shown."),
        (Limits(commit_bytes=30), (), 3, "The diff goes on for 7 lines: at most 30 bytes a commit are shown."),
        (Limits(mail_bytes=29), (), 3, "The diff goes on for 7 lines: at most 29 bytes a mail are shown."),
        (Limits(commit_bytes=1), (), 0, "The diff, of 10 lines, is left out: at most 1 bytes a commit are shown."),
        (Limits(), ("diff",), 10, "What is beyond oberon.maxDiff is not here."),
        (Limits(), ("files",), 10, ""),
        (
            Limits(commit_lines=2),
            ("diff",),
            2,
            "The diff goes on for 8 lines: at most 2 lines a commit are shown. What is beyond oberon.maxDiff is not here.",
        ),
    ],
)
def test_what_is_cut_is_said(limits, cut, shown, remark):
    told = Room(limits).show(details(TEN, *cut))
    assert (len(told.lines), told.remark) == (shown, remark)


def test_the_limits_of_a_mail_are_those_of_all_its_diffs():
    room = Room(Limits(commit_lines=8, mail_lines=12))
    told = [room.show(details(TEN)) for _ in range(3)]
    assert [len(one.lines) for one in told] == [8, 4, 0]
    assert [one.remark for one in told] == [
        "The diff goes on for 2 lines: at most 8 lines a commit are shown.",
        "The diff goes on for 6 lines: at most 12 lines a mail are shown.",
        "The diff, of 10 lines, is left out: at most 12 lines a mail are shown.",
    ]


def test_diffs_that_are_none():
    room = Room(Limits())
    assert room.show({}) is None
    assert room.show(details("", "diff")) == Shown((), "The diff could not be made.")
    assert room.show(details("")) == Shown((), "There is no difference to show.")


@given(st.text(), st.integers(1, 20), st.integers(1, 200))
def test_whatever_is_pushed_the_limits_hold(diff, lines, size):
    shown = Room(Limits(lines, size, lines, size)).show(details(diff))
    assert len(shown.lines) <= lines
    assert sum(len(line.encode()) + 1 for line in shown.lines) <= size
    assert all(line.replace("\t", "").isprintable() for line in shown.lines)
