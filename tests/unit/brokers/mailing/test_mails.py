from __future__ import annotations

import random
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import default

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from brokers.mailing.mails import Manner, mails_of
from brokers.mailing.recipients import Group
from brokers.render.diff import Limits
from payload import samples
from payload.push import Person
from tests.support.jwz import threads
from tests.unit.brokers.render.conftest import make_commit as commit
from tests.unit.brokers.render.conftest import make_payload as payload
from tests.unit.brokers.render.conftest import make_ref as ref

SENDER = Person("", "Commits", "commits@example.org")
TO = ("ann@example.org", "qa@example.org")
DIFF = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-\tone\n+\ttwo\n"


def made(pushed, recipients=TO, **manner):
    """(envelope's recipients, what a mail reader makes of it) of each mail."""
    mails = mails_of([Group(recipients, pushed)], Manner(SENDER, **manner))
    return [(mail.recipients, message_from_bytes(mail.raw.replace(b"\r\n", b"\n"), policy=default)) for mail in mails]


def read(pushed, **manner):
    return [message for _, message in made(pushed, **manner)]


def sender_of(pushed):
    """As RFC 2047, 6.2, has it: nothing stands between two encoded words. (Python 3.11's own reader of addresses sees a space.)"""
    [mail] = mails_of([Group(("dev@example.org",), pushed)], Manner(SENDER))
    return str(make_header(decode_header(message_from_bytes(mail.raw)["From"])))


def subjects(messages):
    return [message["Subject"] for message in messages]


def push(number, *messages, branch="main", **oberon):
    commits = [commit(said, branch=branch) for said in messages]
    moved = ref(branch, commits=[one["node"] for one in commits])
    return payload(commits, [moved], event=f"{number:032x}", time=f"2024-05-0{number}T05:10:00.000+00:00", **oberon)


def test_a_push_is_one_mail_unless_each_commit_is_to_have_its_own():
    assert subjects(read(push(1, "One", "Two"))) == ["[app] 2 commits on main by Ann Example"]
    assert subjects(read(push(1, "One", "Two"), is_each_commit=True)) == [
        "[app] 2 commits on main by Ann Example",
        "[app] 1/2: One",
        "[app] 2/2: Two",
    ]


def test_one_commit_is_one_mail_all_the_same():
    assert subjects(read(push(1, "One"), is_each_commit=True)) == ["[app] One"]


@pytest.mark.parametrize("name", ["git-tag", "git-delete", "hg-bookmark", "alert", "twitter-2008"])
def test_what_has_no_commits_to_share_out_is_one_mail(name):
    assert len(read(samples.load(name), is_each_commit=True, limits=Limits(), has_html=True)) == 1


def test_three_pushes_are_threads_to_a_mail_reader():
    pushes = [push(1, "One", "Two", "Three"), push(2, "Four"), push(3, "Five", "Six"), push(4, "Seven", "Eight", branch="dev")]
    messages = [message for pushed in pushes for message in read(pushed, is_each_commit=True)]
    random.Random(1).shuffle(messages)
    assert [thread.outline() for thread in threads(messages)] == [
        (
            None,  # the branch: nobody ever sends that
            [
                (
                    "[app] 3 commits on main by Ann Example",
                    [("[app] 1/3: One", []), ("[app] 2/3: Two", []), ("[app] 3/3: Three", [])],
                ),
                ("[app] Four", []),
                ("[app] 2 commits on main by Ann Example", [("[app] 1/2: Five", []), ("[app] 2/2: Six", [])]),
            ],
        ),
        ("[app] 2 commits on dev by Ann Example", [("[app] 1/2: Seven", []), ("[app] 2/2: Eight", [])]),
    ]


def test_every_attempt_makes_the_same_bytes_and_every_mail_has_its_own_id():
    def raw():
        pushed = push(1, "One", "Two")
        for details in pushed["commits"]:
            pushed["oberon"]["commits"][details["raw_node"]] = {"diff": DIFF, "truncated": []}
        groups = [Group(("a@example.org",), pushed), Group(("b@example.org",), pushed)]
        return list(mails_of(groups, Manner(SENDER, is_each_commit=True, limits=Limits(), has_html=True)))

    first = raw()
    assert [mail.raw for mail in first] == [mail.raw for mail in raw()]
    assert len({mail.message_id for mail in first}) == 6


def test_another_broker_s_mail_is_another():
    assert read(push(1, "One"))[0]["Message-ID"] != read(push(1, "One") | {"broker": "emaildiff"})[0]["Message-ID"]


def test_two_services_mails_of_different_parts_of_a_push_are_different_mails():
    of_main, of_dev = push(1, "One"), push(1, "Two", branch="dev")
    assert read(of_main)[0]["X-Oberon-Event"] == read(of_dev)[0]["X-Oberon-Event"]
    assert read(of_main)[0]["Message-ID"] != read(of_dev)[0]["Message-ID"]


def test_a_flood_of_commits_on_many_refs():
    commits = [commit(f"Number {number}", branch=f"b{number % 12}") for number in range(300)]
    moved = [ref(f"b{branch}", commits=[one["node"] for one in commits[branch::12]]) for branch in range(12)]
    messages = read(payload(commits, moved), is_each_commit=True)
    assert len(messages) == 50
    first = messages[0].get_content()
    assert "251 older commits have no mail of their own. The 49 newest follow." in first
    assert first.count("Changed:    branch") == 12
    assert subjects(messages)[1:3] == ["[app] 252/300: Number 251", "[app] 253/300: Number 252"]
    assert subjects(messages)[-1] == "[app] 300/300: Number 299"
    assert messages[-1].get_all("X-Git-Refname") == ["refs/heads/b11"]
    assert messages[0].get_all("X-Git-Refname") == [f"refs/heads/b{branch}" for branch in range(12)]
    assert len(messages[0].as_bytes()) < 20_000


@pytest.mark.parametrize(
    ("max_mails", "count", "said"),
    [
        (1, 1, "5 older commits have no mail of their own.\n"),
        (2, 2, "4 older commits have no mail of their own. The newest follows.\n"),
        (5, 5, "1 older commit has no mail of its own. The 4 newest follow.\n"),
        (6, 6, "Each commit follows in a mail of its own.\n"),
    ],
)
def test_the_cap_is_said(max_mails, count, said):
    messages = read(push(1, *"abcde"), is_each_commit=True, max_mails=max_mails)
    assert len(messages) == count
    assert messages[0].get_content().endswith(said)


def test_commits_that_the_payload_does_not_list_have_no_mail():
    messages = read(push(1, "One", "Two", total_commits=1002), is_each_commit=True)
    assert "1,000 older commits have no mail of their own. The 2 newest follow." in messages[0].get_content()
    assert subjects(messages)[1:] == ["[app] 1001/1002: One", "[app] 1002/1002: Two"]


def test_the_mail_of_a_commit_tells_of_the_commit_alone():
    pushed = push(1, "One", "Two")
    pushed["oberon"]["refs"].append(ref("v1", "tag", "create", message="Release"))
    [_, _, second] = read(pushed, is_each_commit=True)
    content = second.get_content()
    assert "Repository: team/app" in content
    assert "    Two" in content
    assert "One" not in content
    assert "Changed:" not in content
    assert "Release" not in content


def test_a_rewind_is_said_by_the_mail_of_the_push():
    pushed = push(1, "One", "Two")
    pushed["oberon"]["refs"][0] |= {"action": "rewind", "dropped": 3}
    first, second, _ = read(pushed, is_each_commit=True)
    assert first["Subject"] == "[app] 2 commits on main by Ann Example (main rewound)"
    assert "3 commits no longer on it" in first.get_content()
    assert second["Subject"] == "[app] 1/2: One"


@pytest.mark.parametrize(
    ("how", "pushed_by", "expected"),
    [
        ("author", "pia", "Ann Example <ann@example.org>"),
        ("pusher", "ann", "Ann Example <ann@example.org>"),
        ("pusher", "bob@example.com", "bob <bob@example.com>"),
        ("pusher", "pia", "pia <pia@example.net>"),
        ("pusher", "pia smith", None),
        ("pusher", "x@y\r\nBcc: evil@example.org", None),
        ("none", "ann", None),
    ],
)
def test_who_gets_the_replies(how, pushed_by, expected):
    pushed = push(1, "One") | {"user": pushed_by}
    [message] = read(pushed, reply_to=how, pusher_domain="example.net")
    assert message["Reply-To"] == expected
    assert message["Bcc"] is None


def test_a_pusher_of_whom_no_address_is_known():
    assert read(push(1, "One"), reply_to="pusher")[0]["Reply-To"] is None


CC = (
    "Fix\n\nCc: Bob <bob@example.org>, cid@example.org\nCC: ann@example.org\ncc: <evil\n Cc: not an address, @, bob@example.org\n"
)


def test_copies_go_where_a_message_says_if_that_is_wanted():
    assert made(push(1, CC))[0][1]["Cc"] is None
    [(recipients, message)] = made(push(1, CC), scan_cc=True)
    assert message["Cc"] == "bob@example.org, cid@example.org"
    assert recipients == (*TO, "bob@example.org", "cid@example.org")


def test_copies_are_of_the_commit_s_mail_alone_and_of_one_of_them():
    pushed = push(1, CC, "Two")
    groups = [Group(("a@example.org",), pushed), Group(("b@example.org",), pushed)]
    mails = list(mails_of(groups, Manner(SENDER, is_each_commit=True, scan_cc=True)))
    copied = [mail.recipients for mail in mails if "bob@example.org" in mail.recipients]
    assert copied == [("a@example.org", "bob@example.org", "cid@example.org", "ann@example.org")]


def test_who_gets_a_commit_s_mail_in_another_group_gets_no_copy():
    pushed = push(1, "One\n\nCc: b@example.org\n", "Two")
    groups = [Group(("a@example.org",), pushed), Group(("B@example.org",), pushed)]
    mails = list(mails_of(groups, Manner(SENDER, is_each_commit=True, scan_cc=True)))
    assert {mail.recipients for mail in mails} == {("a@example.org",), ("B@example.org",)}


def test_a_message_cannot_make_a_flood_of_copies():
    said = "Fix\n\n" + "".join(f"Cc: a{number}@example.org\n" for number in range(10_000))
    [(recipients, _)] = made(push(1, said), scan_cc=True)
    assert len(recipients) == len(TO) + 20


@pytest.mark.parametrize("filler", ["(", "<", "a", "a,", '"', "\\", "@"])
def test_copies_that_are_none_take_no_time(filler):
    [(recipients, _)] = made(push(1, f"Fix\n\nCc: {filler * 65_000}\nCc: bob@example.org\n"), scan_cc=True)
    assert recipients == (*TO, "bob@example.org")


def test_templates():
    templates = {
        "subject": "${user}: ${count} on ${branch}",
        "body": "Dear all,\n\n${text}\n-- \n${repository.name}",
        "commit-subject": "${commit.node} ${commit.subject}",
        "commit-body": "${commit.message}\nby ${commit.author}",
    }
    pushed = push(1, "One\n\nMore.\n", "Two")
    first, second, _ = read(pushed, is_each_commit=True, templates=templates)
    assert first["Subject"] == "pia: 2 on main"
    content = first.get_content()
    assert content.startswith("Dear all,\n\nRepository: team/app\n")
    assert content.endswith("Each commit follows in a mail of its own.\n\n-- \nThe App\n")
    assert second["Subject"] == f"{pushed['commits'][0]['node']} One"
    assert second.get_content() == "One\n\nMore.\nby ann\n"


def test_a_push_of_one_commit_takes_the_commit_s_template_and_else_the_push_s():
    both = {"subject": "push ${subject}", "commit-subject": "commit ${commit.subject}"}
    assert subjects(read(push(1, "One"), templates=both)) == ["commit One"]
    assert subjects(read(push(1, "One"), templates={"subject": "push ${subject}"})) == ["push One"]


def test_a_template_around_a_diff_leaves_it_as_it_is():
    pushed = push(1, "One")
    pushed["oberon"]["commits"][pushed["commits"][0]["raw_node"]] = {"diff": DIFF, "truncated": []}
    templates = {"body": "${text}${text} costs $$5"}
    [message] = read(pushed, templates=templates, limits=Limits(), has_html=True)
    plain = message.get_body(("plain",)).get_content()
    assert plain.count("\n-\tone\n+\ttwo\n") == 2
    assert plain.endswith("\n\n costs $5\n")
    assert message.get_body(("html",)).get_content().count("two") == 2


@pytest.mark.parametrize(
    "said", ["Fix\r\nBcc: evil@example.org", "\x00\x1b[2J", "a\u2028b", "z" * 100_000, "=?utf-8?q?x=0D=0ABcc=3A?="]
)
def test_a_template_s_values_make_no_header(said):
    templates = {"subject": "${commit.message} ${commit.raw_author}", "body": "${subject}"}
    pushed = payload([commit(said, raw_author=f"{said} <ann@example.org>")], [ref(said)])
    [message] = read(pushed, templates={f"commit-{name}": text for name, text in templates.items()} | templates)
    assert message["Bcc"] is None
    assert message["Subject"].isprintable()
    assert len(message["Subject"]) <= 250


printable = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(subject=printable, author=printable.filter(lambda name: not set(name) & set('",<>@()[]:;\\=')), path=printable)
@example(subject="0", author="é" * 60, path="0")  # longer than one encoded word
def test_authors_subjects_and_paths_come_back_as_they_were(subject, author, path):
    pushed = payload([commit(subject, raw_author=f"{author} <ann@example.org>", files=[{"file": path, "type": "added"}])])
    [message] = read(pushed, limits=Limits(), has_html=True)
    assert message["Subject"] == f"[app] {subject}".replace("=?", "= ?")
    assert sender_of(pushed) == f"{author} <{SENDER.email}>"
    plain = message.get_body(("plain",)).get_content().replace("\r\n", "\n").split("\n")
    assert f"    {subject}" in plain
    assert f"Author: {author} <ann@example.org>" in plain
    assert f"  A {path}" in plain
