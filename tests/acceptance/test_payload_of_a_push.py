"""The payload of a real push, key by key, against what git and hg print; and its classic form on the wire."""

import json
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import jsonschema

from payload import schema
from payload.build import SCHEMA_VERSION
from tests.support.command import run
from tests.support.hooked import broker_folder, git_settings, hg_settings, link_hook

KEEPING = """
import json
from brokers import BaseBroker


class Keep(BaseBroker):
    def handle(self, payload):
        with open(payload["service"]["file"], "a") as kept:
            kept.write(json.dumps(payload) + "\\n")
"""

SETTINGS = {"mode": "inline", "canonUrl": "https://code.example.org/", "timezone": "Europe/Berlin", "owner": "team"}
AUTHORS = ("Ann Example <ann@example.org>", "Jörg Müller <jm@example.net>")
CHANGES = (
    ({"a.txt": "one\n", "dir/ä.txt": "two\n"}, "first\n\nwith a body", AUTHORS[0], "2024-02-03T04:05:06+01:00", "2024-02-03 04:05:06 +0100"),
    ({"a.txt": "one more\n", "dir/ä.txt": None, "b": "x" * 1000}, "zweitens: Grüße", AUTHORS[1], "2024-07-03T23:30:00-05:30", "2024-07-03 23:30:00 -0530"),
    ({"b": "x"}, "smaller", AUTHORS[0], "1999-12-31T23:59:59+00:00", "1999-12-31 23:59:59 +0000"),
)  # fmt: skip


def times(unix_s):
    """`timestamp` and `utctimestamp`: the server stands in Berlin."""
    utc = datetime.fromtimestamp(unix_s, UTC)
    return f"{utc.astimezone(ZoneInfo('Europe/Berlin')):%Y-%m-%d %H:%M:%S}", f"{utc:%Y-%m-%d %H:%M:%S}+00:00"


def rfc3339(unix_s, offset):
    """As git's %aI writes it, which is the oracle for hg too."""
    sign = -1 if offset.startswith("-") else 1
    zone = timezone(sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5])))
    return datetime.fromtimestamp(unix_s, zone).isoformat()


def files_of(statuses, size_of):
    """Classic files, detailed files and net growth, from (letter, path) pairs and a function path, side -> size."""
    words = {"A": "added", "M": "modified", "T": "modified", "D": "removed", "R": "removed"}
    classic, detailed, growth = [], [], 0
    for letter, path in sorted(statuses, key=lambda pair: pair[1].encode()):
        word = words[letter]
        old = None if word == "added" else size_of(path, "old")
        new = None if word == "removed" else size_of(path, "new")
        classic.append({"file": path, "type": word})
        detailed.append({"file": path, "type": word, "old_size": old, "new_size": new})
        growth += (new or 0) - (old or 0)
    return classic, detailed, growth


def validate(payload):
    jsonschema.Draft202012Validator(schema.document()).validate(payload)


def kept(tmp_path):
    return [json.loads(line) for line in (tmp_path / "kept").read_text().splitlines()]


def expected(payload, scm, slug, ref, nodes, told):
    """The whole payload; only the event's id and time, and who ran the tests, are taken from it."""
    own = payload["oberon"]
    path = f"/team/{slug}/"
    return {
        "broker": "keep",
        "service": {"file": payload["service"]["file"]},
        "repository": {
            "absolute_url": path, "name": slug, "owner": "team", "slug": slug, "website": "https://code.example.org/",
            "scm": scm, "fork": False, "is_private": True,
        },
        "canon_url": "https://code.example.org",
        "user": payload["user"],
        "truncated": False,
        "commits": [commit for commit, _ in told],
        "oberon": {
            "version": SCHEMA_VERSION,
            "event": own["event"],
            "sequence": 1,
            "time": own["time"],
            "refs": [
                {
                    "ref": ref, "name": ref.rpartition("/")[2], "kind": "branch", "action": "create", "old": None, "new": nodes[-1],
                    "commits": [node[:12] for node in nodes], "dropped": 0,
                }
            ],
            "options": [],
            "total_commits": len(nodes),
            "source": "local",
            "links": {"repository": "https://code.example.org" + path, "compare": None},
            "commits": {node: details for node, (_, details) in zip(nodes, told, strict=True)},
        },
    }  # fmt: skip


def git_commit_told(server, node, number):
    raw = server.git(
        "log",
        "-1",
        "--encoding=UTF-8",
        "--format=%H%x00%P%x00%an <%ae>%x00%at%x00%aI%x00%cn%x00%ce%x00%cI%x00%T%x00%an%x00%ae",
        node,
    )
    oid, parents, raw_author, when, author_iso, c_name, c_mail, c_iso, tree, name, mail = raw.split("\0")
    message = run(["git", f"--git-dir={server.path}", "cat-file", "commit", node]).stdout.partition("\n\n")[2]
    diff = run(
        [
            "git",
            f"--git-dir={server.path}",
            "diff-tree",
            "-r",
            "-z",
            "--root",
            "--no-renames",
            "--no-commit-id",
            "--name-status",
            node,
        ]
    ).stdout
    fields = diff.split("\0")[:-1]
    parent = parents.split()[0] if parents else None

    def size_of(path, side):
        revision = f"{parent if side == 'old' else node}:{path}"
        return int(server.git("cat-file", "-s", revision))

    classic, detailed, growth = files_of(list(zip(fields[0::2], fields[1::2], strict=True)), size_of)
    timestamp, utc = times(int(when))
    commit = {
        "node": oid[:12],
        "raw_node": oid,
        "parents": [one[:12] for one in parents.split()],
        "author": name,
        "raw_author": raw_author,
        "branch": "main",
        "message": message,
        "revision": int(server.git("rev-list", "--count", node)),
        "size": growth,
        "timestamp": timestamp,
        "utctimestamp": utc,
        "files": classic,
    }
    details = {
        "author": {"name": name, "email": mail, "date": author_iso},
        "committer": {"name": c_name, "email": c_mail, "date": c_iso},
        "tree": tree,
        "url": None,
        "total_files": len(classic),
        "files": detailed,
        "truncated": [],
    }
    assert number == commit["revision"]
    return commit, details


def test_git(git_server, state_dir, tmp_path, receiver):
    server = git_server("team/app.git")
    link_hook(server)
    git_settings(server, state_dir, brokerPath=str(broker_folder(tmp_path, KEEPING)), **SETTINGS)
    for key, value in {"a.broker": "keep", "a.file": str(tmp_path / "kept"), "b.broker": "post", "b.url": receiver.url}.items():
        server.config(f"service.{key}", value)
    clone = server.clone()
    nodes = [clone.commit(files, message=message, author=author, date=date) for files, message, author, date, _ in CHANGES]
    clone.push("main")
    (payload,) = kept(tmp_path)
    validate(payload)
    told = [git_commit_told(server, node, number) for number, node in enumerate(nodes, 1)]
    assert payload == expected(payload, "git", "app", "refs/heads/main", nodes, told)
    assert [commit["size"] for commit in payload["commits"]] == [8, 1001, -999]
    check_classic(receiver, payload)


def hg_commit_told(server, node):
    template = "{node}\\0{parents % '{node} '}\\0{author}\\0{date|hgdate}\\0{branch}\\0{rev}\\0{desc}"
    raw = server.hg("log", "--debug", "-r", node, "-T", template)
    oid, parents, raw_author, hgdate, branch, revision, message = raw.split("\0")
    manifest = server.hg("log", "--debug", "-r", node, "-T", "{manifest % '{node}'}")
    parents = [one for one in parents.split() if one.strip("0")]
    when, west = (int(part) for part in hgdate.split())
    lines = server.hg("status", "--change", node, "-T", "{status}\\0{path}\\0").split("\0")[:-1]

    def size_of(path, side):
        revision = parents[0] if side == "old" else node
        return len(run(["hg", "-R", server.path, "cat", "-r", revision, server.path / path]).stdout.encode())

    classic, detailed, growth = files_of(list(zip(lines[0::2], lines[1::2], strict=True)), size_of)
    timestamp, utc = times(when)
    name, _, mail = raw_author.partition(" <")
    offset = f"{'-' if west > 0 else '+'}{abs(west) // 3600:02}{abs(west) % 3600 // 60:02}"
    commit = {
        "node": oid[:12],
        "raw_node": oid,
        "parents": [one[:12] for one in parents],
        "author": name,
        "raw_author": raw_author,
        "branch": branch,
        "message": message,
        "revision": int(revision),
        "size": growth,
        "timestamp": timestamp,
        "utctimestamp": utc,
        "files": classic,
    }
    details = {
        "author": {"name": name, "email": mail.rstrip(">"), "date": rfc3339(when, offset)},
        "committer": None,
        "tree": manifest,
        "url": None,
        "total_files": len(classic),
        "files": detailed,
        "truncated": [],
    }
    return commit, details


def test_hg(hg_server, state_dir, tmp_path, receiver):
    (tmp_path / "team").mkdir()
    server = hg_server("team/tools")
    hg_settings(server, state_dir, brokerPath=str(broker_folder(tmp_path, KEEPING)), **SETTINGS)
    server.hgrc(f"[services]\na.broker = keep\na.file = {tmp_path / 'kept'}\nb.broker = post\nb.url = {receiver.url}\n")
    clone = server.clone()
    nodes = [clone.commit(files, message=message, author=author, date=date) for files, message, author, _, date in CHANGES]
    clone.push()
    (payload,) = kept(tmp_path)
    validate(payload)
    told = [hg_commit_told(server, node) for node in nodes]
    assert payload == expected(payload, "hg", "tools", "default", nodes, told)
    assert [commit["size"] for commit in payload["commits"]] == [8, 1001, -999]
    check_classic(receiver, payload)


def check_classic(receiver, payload):
    """The form holds one field, and that exactly the documented keys with the values of the payload."""
    (request,) = receiver.requests
    assert request.method == "POST"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["X-Event-Key"] == "repo:push"
    assert request.headers["User-Agent"] == "Bitbucket.org"
    form = parse_qs(request.body.decode("ascii"), strict_parsing=True)
    assert list(form) == ["payload"]
    assert json.loads(form["payload"][0]) == {
        key: payload[key] for key in ("canon_url", "user", "truncated", "repository", "commits")
    }
