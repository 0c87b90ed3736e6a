import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.trackers.verbs import CLOSES, MAX_MESSAGE_CHARS, REFERENCES, REOPENS, Action, Grammar, issues

NUMBERS = Grammar.of()
BUGS = Grammar.of(bare=True)
KEYS = Grammar.of(projects=["ABC", "OPS"], bare=True)


def said(message, grammar=NUMBERS):
    return [f"{action} {key}" for action, key in grammar.mentions(message)]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("fixes #4", ["close 4"]),
        ("Fixes: #4.", ["close 4"]),
        ("fix(tap): stop the drip (closes #4)", ["close 4"]),
        ("closes #1, #2 and #3", ["close 1", "close 2", "close 3"]),
        ("closes #1 #2, and #3; see #9", ["close 1", "close 2", "close 3", "reference 9"]),
        ("Resolves\n#4", ["close 4"]),
        ("resolves issue 4", ["close 4"]),
        ("Fixes bug #4", ["close 4"]),
        ("fixes bugs 4, 5 and 6", ["close 4", "close 5", "close 6"]),
        ("fixes bugs 4,\r\n5", ["close 4", "close 5"]),
        ("fixes bug 4, 2 tests added", ["close 4"]),
        ("fixes issue 4 and #5", ["close 4", "close 5"]),
        ("closes GH-4", ["close 4"]),
        ("refs #5", ["reference 5"]),
        ("see #5", ["reference 5"]),
        ("re #7", ["reference 7"]),
        ("Re: #7", ["reference 7"]),
        ("reopens #6", ["reopen 6"]),
        ("fixes #4 and reopens #6", ["close 4", "reopen 6"]),
        ("fixes #0042", ["close 42"]),
        ("Fixes #4\n\n#5 is another matter", ["close 4"]),
        ("Fixes #4\r\n\r\n#5 is another matter", ["close 4"]),
        ("Fixes bugs 4 and 5\n \n2 files say so", ["close 4", "close 5"]),
    ],
)
def test_what_a_message_says(message, expected):
    assert said(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        "#4",
        "fixes 4 typos",
        "fixes the drip of #4",
        "What it fixes\n\n#4 tells",
        "prefixes #4",
        "hotfix-fixes #4",
        "fixesx #4",
        "fixes #4th",
        "fixes #4.5",
        "fixes #4-5",
        "fixes #12345678901",
        "fixes #",
        "fixes #0",
        "`fixes #4`",
        "```\nfixes #4\n```",
        "  ~~~ sh\nfixes #4\n",
        "https://example.org/?fixes #4".replace(" ", "%20"),
        "https://example.org/fixes: #4".replace(" ", ""),
        'Revert "Stop the drip, fixes #4"\n\nThis reverts commit a52e869ce8b9.',
        "fixes !4",
        "",
    ],
)
def test_what_names_no_issue(message):
    assert said(message) == []


def test_after_code_and_addresses_the_message_goes_on():
    assert said("```\nfixes #1\n```\nfixes #2 `fixes #3` closes #4, https://x.example.org/fixes/#5 and so on") == [
        "close 2",
        "close 4",
    ]
    assert said('Revert "fixes #4"\n\nRefs #5') == ["reference 5"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("bug 1234", ["reference 1234"]),
        ("Bug #1234 - Stop the drip", ["reference 1234"]),
        ("fixes bug 1234", ["close 1234", "reference 1234"]),
        ("issue 12, ticket #13", ["reference 12", "reference 13"]),
        ("refs #12", ["reference 12"]),
        ("Merge pull request #12 from ada/tap", []),
        ("Paint it #333333, as gh-7 does", []),
        ("debug 1234", []),
        ("a&#12;b", []),
        ("1234", []),
    ],
)
def test_bugs_need_no_verb(message, expected):
    assert said(message, BUGS) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("ABC-123: stop the drip", ["reference ABC-123"]),
        ("fixes ABC-123, OPS-9", ["close ABC-123", "close OPS-9", "reference ABC-123", "reference OPS-9"]),
        ("UTF-8 and SHA-256, CVE-2026", []),
        ("XABC-1 ABC-1x ABC-1-2 abc-1", []),
        ("https://jira.example.org/browse/ABC-1", []),
        ("branch feature/ABC-1", []),
    ],
)
def test_keys_of_projects(message, expected):
    assert said(message, KEYS) == expected


def test_words_of_ones_own():
    grammar = Grammar.of(["erledigt"], [], ["siehe"])
    assert said("Erledigt #4, siehe #5, fixes #6, reopens #7", grammar) == ["close 4", "reference 5"]
    assert said("fixes #4", Grammar.of([], [], [])) == []
    assert said("a+b #4", Grammar.of(["a+b"], [], [])) == ["close 4"]


def commit(message):
    return {"message": message}


def test_each_issue_once_with_what_was_said_last_and_all_its_commits():
    commits = [commit("refs #1, fixes #2"), commit("fixes #2, closes #3"), commit("reopens #3, see #2"), commit(None)]
    assert [(issue.key, issue.action, issue.commits) for issue in issues(commits, NUMBERS)] == [
        ("2", Action.CLOSE, commits[:3]),
        ("3", Action.REOPEN, commits[1:3]),
        ("1", Action.REFERENCE, commits[:1]),
    ]


# -------------------------------------------------------------------------------------------------------- whatever is said

verbs = st.sampled_from(
    [
        *((word, "close") for word in CLOSES),
        *((word, "reopen") for word in REOPENS),
        *((word, "reference") for word in REFERENCES),
    ]
)
keys = st.integers(1, 999_999_999)
fillers = st.sampled_from(["", "\n\n", "Stop the drip. ", "Tee: ", "(", "äöü "])
separators = st.sampled_from([", ", " and ", ", and ", " ", " & ", ",\n"])


@given(
    st.lists(
        st.tuples(
            fillers, verbs, st.booleans(), st.sampled_from([" ", ": ", "  "]), st.lists(keys, min_size=1, max_size=4), separators
        ),
        max_size=5,
    )
)
def test_every_list_after_every_verb_is_found(clauses):
    message, expected = "", []
    for filler, (verb, action), loud, gap, numbers, separator in clauses:
        word = verb.upper() if loud else verb
        message += f"{filler}{word}{gap}{separator.join(f'#{number}' for number in numbers)}. "
        expected += [f"{action} {number}" for number in numbers]
    assert said(message) == expected
    assert said(message.replace("\n", "\r\n")) == expected


words_of_it = st.sampled_from(
    ["fixes", "see", "#4", "#", "bug", " ", "\n", "```", "`", "ABC-1", ",", "and", "https://", "x", "12", ":", "\ud800", "@"]
)


@given(st.lists(words_of_it).map("".join), st.sampled_from([NUMBERS, BUGS, KEYS]))
def test_nothing_is_named_that_does_not_stand_there(message, grammar):
    for action, key in grammar.mentions(message):
        assert action in Action
        assert re.fullmatch(r"[1-9][0-9]{0,8}|(?:ABC|OPS)-[0-9]{1,9}", key)
        assert key in message


@pytest.mark.parametrize("text", ["fixes ", "`", "#1", "fixes #1,", "a" * 50 + "://", "ABC-", "bug   ", "\n", "fixes" + " " * 9])
def test_a_message_made_to_be_slow_is_not(text):
    message = text * (1_000_000 // len(text))
    started = time.process_time()
    for grammar in (NUMBERS, BUGS, KEYS):
        list(grammar.mentions(message))
    assert time.process_time() - started < 1.0
    assert said("x" * MAX_MESSAGE_CHARS + " fixes #4") == []
