from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.render import body as words
from brokers.render.diff import Limits, Room
from payload import samples
from tests.unit.brokers.render.conftest import make_commit as commit
from tests.unit.brokers.render.conftest import make_payload as payload
from tests.unit.brokers.render.conftest import make_ref as ref


def test_one_commit():
    made = commit(raw_node="b" * 40)
    assert (
        words.body(payload([made], [ref(commits=["b" * 12])]))
        == f"""\
Repository: team/app
            https://git.example.org/team/app/
Pushed by:  pia
Changed:    branch main moved
            aaaaaaaaaaaa -> bbbbbbbbbbbb, 1 new commit

commit {"b" * 40} (7)
Author: Ann Example <ann@example.org>
Date:   2024-05-06 07:08:09
Branch: main

    Fix the thing

    It was broken.

  M src/a.py
  A b.txt
  D c
  3 files, +684 bytes
"""
    )


def test_links_of_the_web_interface():
    made = payload([commit(raw_node="b" * 40)], [ref(commits=["b" * 12])])
    made["oberon"]["links"] = {
        "repository": "https://git.example.org/?p=team/app.git;a=summary",
        "compare": "https://c.example.org/",
    }
    made["oberon"]["commits"] = {"b" * 40: {"url": "https://git.example.org/?p=team/app.git;a=commit;h=" + "b" * 40}}
    lines = words.body(made).splitlines()
    assert lines[1] == "            https://git.example.org/?p=team/app.git;a=summary"
    assert "Compare:    https://c.example.org/" in lines
    assert lines[lines.index("Branch: main") + 1] == f"Link:   https://git.example.org/?p=team/app.git;a=commit;h={'b' * 40}"


def test_what_the_limits_of_the_payload_cut_is_said():
    made = commit(raw_node="b" * 40)
    pushed = payload([made], [ref(commits=["b" * 12])], total_commits=1500)
    pushed["oberon"]["commits"] = {"b" * 40: {"total_files": 5000, "truncated": ["files", "message"]}}
    lines = words.body(pushed).splitlines()
    assert "            aaaaaaaaaaaa -> bbbbbbbbbbbb, at least 1 new commit" in lines
    assert "    [What is beyond oberon.maxMessage is not here.]" in lines
    assert lines[-2:] == ["  and 4,997 more", "  5,000 files, +684 bytes"]


def test_the_message_of_a_tag_that_was_cut_is_said_to_be():
    said = words.body(payload([], [ref("v1", "tag", "create", message="Release\n", truncated=["message"])]))
    assert "    Release\n    [What is beyond oberon.maxMessage is not here.]\n" in said


def test_the_payload_of_2008():
    assert (
        words.body(samples.load("twitter-2008"))
        == """\
Repository: jespern/bitbucket
            http://bitbucket.org/jespern/bitbucket/

commit e71c63bcc05e (1650)
Author: jespern

    adding bump button, issue #206 fixed

  M media/css/layout.css
  M apps/bb/views.py
  M templates/issues/issue.html
  3 files, +684 bytes
"""
    )


def test_several_commits_are_listed_and_then_told_oldest_first():
    commits = [commit("One\n"), commit("Two " + "z" * 100)]
    said = words.body(payload(commits))
    listed = [f"  {commits[0]['node']}  One", f"  {commits[1]['node']}  Two zzz"]
    places = [said.index(part) for part in (*listed, "    One\n", "    Two zzz")]
    assert places == sorted(places)
    assert said.count("-" * words.COLUMNS) == 2
    own = [line for line in said.split("\n") if not line.startswith("    ")]
    assert max(len(line) for line in own) <= words.COLUMNS


@pytest.mark.parametrize(
    "said", ["z" * 100, "日本語" * 40, "日本語" * 12, "a" * 40 + "日本" * 10, "ü" * 57, "ü" * 58, "日" * 28 + "a", "日" * 29]
)
def test_a_list_s_lines_fit_however_wide_their_characters(said):
    [line, _] = [
        line for line in words.body(payload([commit(said), commit("x")])).split("\n") if re.match(r"  [0-9a-f]{12}  ", line)
    ]
    columns = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)
    assert columns <= words.COLUMNS
    assert line.endswith(said) or (line.endswith("...") and columns >= words.COLUMNS - 1)


def test_refs_without_commits():
    said = words.body(
        payload(
            [],
            [
                ref("dev", action="delete"),
                ref("main", action="rewind", dropped=2),
                ref("v1", "tag", "create", message="Release\n1\n"),
            ],
        )
    )
    assert (
        """\
Changed:    branch dev deleted
            was aaaaaaaaaaaa
Changed:    branch main rewound
            aaaaaaaaaaaa -> bbbbbbbbbbbb, 2 commits no longer on it
Changed:    tag v1 created
            at bbbbbbbbbbbb

    Release
    1
"""
        in said
    )


def test_a_rewind_has_the_commits_that_it_dropped():
    dropped = [{"node": f"{number}" * 12, "message": said} for number, said in enumerate(["Wrong", "W" * 100])]
    said = words.body(payload([commit()], [ref(action="rewind", dropped=7, dropped_commits=dropped, commits=["c" * 12])]))
    assert (
        f"""\
Changed:    branch main rewound
            aaaaaaaaaaaa -> bbbbbbbbbbbb
            1 new commit
            7 commits no longer on it
            - 000000000000  Wrong
            - 111111111111  {"W" * 41}...
            - and 5 older
"""
        in said
    )


def test_a_tag_has_its_tagger():
    tagger = {"name": "Ann", "email": "ann@example.org", "date": "2026-04-02T09:00:00+02:00"}
    said = words.body(payload([], [ref("v1", "tag", "create", message="Release\n", tagger=tagger), ref("dev")]))
    assert (
        """\
Changed:    tag v1 created
            at bbbbbbbbbbbb
Tagger:     Ann <ann@example.org>
            2026-04-02 09:00:00+02:00

    Release

Changed:    branch dev moved
"""
        in said
    )


def test_many_refs_are_not_all_told():
    said = words.body(payload([], [ref(f"v{number}", "tag", "create") for number in range(1000)]))
    assert said.count("Changed:") == words.MAX_REFS
    assert said.endswith("            and 950 more refs\n")


def test_a_commit_has_its_diff_where_there_is_room_for_it():
    made = commit(raw_node="b" * 40)
    pushed = payload([made])
    pushed["oberon"]["commits"]["b" * 40] = {"diff": "@@ -1 +1 @@\n-\tone\n+\ttwo\n" + "+x\n" * 100, "truncated": []}
    assert "+x" not in words.body(pushed)
    said = words.plain(words.sections(pushed, room=Room(Limits(commit_lines=3))))
    assert said.endswith(
        """\
  3 files, +684 bytes

@@ -1 +1 @@
-\tone
+\ttwo

[The diff goes on for 100 lines: at most 3 lines a commit are shown.]
"""
    )


def test_what_is_left_out_is_said():
    said = words.body(payload([commit(f"Number {number}.") for number in range(250)], total_commits=5000))
    assert "4,900 older commits are not told here." in said
    assert "    Number 150." in said
    assert "Number 149." not in said
    files = [{"file": f"f{number}", "type": "added"} for number in range(1000)]
    said = words.body(payload([commit(files=files)]))
    assert "  A f99\n  and 900 more\n  1,000 files" in said


def test_many_long_messages_do_not_make_an_endless_mail():
    said = words.body(payload([commit(f"{number} " + "z" * 60_000) for number in range(100)]))
    assert len(said) < words.MAX_CHARS + 70_000
    assert "94 older commits are not told here." in said
    assert "    99 zzz" in said


def test_the_newest_is_told_however_long():
    said = words.body(payload([commit("One"), commit("y" * (words.MAX_CHARS + 1))]))
    assert "y" * words.MAX_CHARS in said
    assert "1 older commit is not told here." in said


def test_sizes_and_branches_that_are_not_known():
    said = words.body(payload([commit(size=None, revision=None, branch=None, files=[])]))
    assert said.endswith("\n  0 files\n")
    assert "Branch:" not in said


def test_tabs_stay_columns_and_controls_become_visible():
    said = words.body(payload([commit("a\tb\n\x1b[2J\u202e\u2028\x0c\r\nc")]))
    assert "    a       b\n    \\x1b[2J\\u202e\\u2028\\x0c\n    c\n" in said


@given(st.text(), st.text(), st.text())
def test_whatever_is_pushed_no_control_character_comes_out(message, path, author):
    said = words.body(
        payload([commit(message, raw_author=author, files=[{"file": path, "type": "added"}])] * 2, [ref(path, message=message)])
    )
    assert all(line.isprintable() for line in said.split("\n"))
