"""The pushes of which the samples are made: of a git and an hg repository with these very commits, nodes and sizes.

`python -m tests.support.sample_pushes` writes payload/samples/ anew after a change of the payload;
tests/unit/payload/test_samples.py compares.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

from payload.build import Limits, Service, build
from payload.links import WEB_INTERFACES
from payload.push import Commit, Event, FileChange, FileType, Person, Push, RefAction, RefChange, RefKind, RefUpdate, Repository

FOLDER = Path(__file__).parents[2] / "payload" / "samples"

ZONE = timezone(timedelta(hours=2))
SERVICE = Service("post", {"url": "https://ci.example.org/hook"})
AUTHORS = {"ada@example.org": "ada"}

GIT = Repository.named("git", "/srv/git/team/kettle.git", canon_url="https://git.example.org", links=WEB_INTERFACES["gitea"])
HG = Repository.named(
    "hg",
    "/srv/hg/team/lid",
    canon_url="https://hg.example.org",
    website="https://lid.example.org/",
    links=WEB_INTERFACES["hgweb"],
)

NO_NODE = "0" * 40
BASE = "7e3399d9b11fb743093ff6e81b371f85dc5f3dac"


@dataclass(frozen=True, slots=True)
class Sample:
    """A push and how it was built; `sequence` counts per repository."""

    push: Push
    sequence: int
    limits: Limits | None = None

    def payload(self) -> dict[str, Any]:
        """What `build` makes of it."""
        return build(self.push, SERVICE, sequence=self.sequence, zone=ZONE, limits=self.limits, authors=AUTHORS)


# ---------------------------------------------------------------------------------------------------------------- people


def ada(time: int, offset_s: int = 7200) -> Person:
    return Person.parse("Ada Byron <ada@example.org>", time, offset_s)


def grace(time: int) -> Person:
    return Person.parse("Grace Murray <grace@example.org>", time, -14400)


def hedy(time: int) -> Person:
    return Person.parse("Hedy Kiesler <hedy@example.org>", time, 3600)


# ----------------------------------------------------------------------------------------------------------- git commits

TAP = Commit(
    node="316a8ea92f86c5ade565761b6425bcacf4ab1301",
    parents=(BASE,),
    author=ada(1774716012, 3600),
    committer=ada(1774716012, 3600),
    message="Take the temperature of the tap, fixes #12\n\nUntil now every kettle began at 20 degrees.\n",
    branch="main",
    revision=3,
    files=(FileChange("src/kettle.py", FileType.MODIFIED, 48, 69),),
    tree="a72284fe30349ee52d59738d97db8bb54aeffe70",
)
TESTS = Commit(
    node="a52e869ce8b9699205175451581a75a1eeb6a562",
    parents=(TAP.node,),
    author=Person.parse("Jürgen Müller <jm@example.net>", 1774746300, 7200),
    committer=ada(1774851330),
    message="Prüfungen ziehen um\n",
    branch="main",
    revision=4,
    files=(
        FileChange("Grüner Tee.txt", FileType.ADDED, None, 15),
        FileChange("src/test_kettle.py", FileType.REMOVED, 14, None),
        FileChange("tests/test_kettle.py", FileType.ADDED, None, 14),
    ),
    tree="8b0ea915262de5ba700ab2743f5b855aa7778583",
)
WHISTLE = Commit(
    node="4060183906868ce841fa0dbe9b25c065dd172436",
    parents=(TESTS.node,),
    author=grace(1775059200),
    committer=grace(1775059200),
    message="Whistle when it is done\n",
    branch="feature/whistle",
    revision=5,
    files=(FileChange("src/whistle.py", FileType.ADDED, None, 31),),
    tree="22c04fd435dcc149ca483b81482f18148ec5d0d1",
)
WRONG = "d1dc9a6c2ea8a053ef8139304174ab61a56c8b25"
SAY_WHEN = Commit(
    node="6e398435b43187a3ef279460cc7ff79f5d1a7c80",
    parents=(TESTS.node,),
    author=ada(1775201400),
    committer=ada(1775201400),
    message="Say when\n",
    branch="main",
    revision=5,
    files=(FileChange("README", FileType.MODIFIED, 35, 50),),
    tree="f8258905e54a41f9a11e9d2ac1679b642605d63b",
)
STEPS = tuple(
    Commit(
        node=node,
        parents=(parent,),
        author=grace(1775361600 + 3600 * number),
        committer=grace(1775361600 + 3600 * number),
        message=f"Step {number}\n\nA long story about step {number}.\n",
        branch="main",
        revision=5 + number,
        files=(
            FileChange(f"note{number}.txt", FileType.ADDED, None, 7),
            FileChange(f"step{number}.txt", FileType.ADDED, None, 7),
        ),
        tree=tree,
    )
    for number, parent, node, tree in (
        (1, SAY_WHEN.node, "ea6310bedf0778a626049ee47fea92b1bcd8012d", "e569a9c56f8a284b183d8711542bbd2fdaeef614"),
        (
            2,
            "ea6310bedf0778a626049ee47fea92b1bcd8012d",
            "9b3c11a224879de510cee5b7d15e77b05ffde859",
            "dc145812c52551afee815025b35de4adfc114906",
        ),
        (
            3,
            "9b3c11a224879de510cee5b7d15e77b05ffde859",
            "e27ac11f6d7ffb2be2fcca373e7a893cb49b3b7e",
            "7f5b172a824990b3882053e9717f10ee0ffd4d05",
        ),
    )
)
REVERT = Commit(
    node="0a99bcc48a302bdc5fc56db80403f3287fa511fc",
    parents=(STEPS[-1].node,),
    author=grace(1775433600),
    committer=grace(1775433600),
    message="Revert step 3\n\nTea does not need it.\n",
    branch="main",
    revision=9,
    files=(FileChange("note3.txt", FileType.REMOVED, 7, None), FileChange("step3.txt", FileType.REMOVED, 7, None)),
    tree=STEPS[1].tree,
)
# `git merge --no-ff`: nothing in it differs from all its parents.
MERGE = Commit(
    node="3dbfd2b7dec920710cc06b340834fafaa888f81d",
    parents=(STEPS[-1].node, REVERT.node),
    author=ada(1775437200),
    committer=ada(1775437200),
    message="Merge branch 'feature/short'\n",
    branch="main",
    revision=10,
    files=(),
    tree=STEPS[1].tree,
)
TAG_OBJECT = "d3f0b6069d0994005cbdac031cfb4e51cd875b4b"


def git_push(
    number: int,
    time: float,
    changes: tuple[RefChange, ...],
    commits: tuple[Commit, ...] = (),
    *,
    source: str = "ssh",
    options: tuple[str, ...] = (),
    alert: dict[str, Any] | None = None,
) -> Push:
    event = Event(
        id=hashlib.sha256(bytes([number])).hexdigest()[:32],
        scm="git",
        path="/srv/git/team/kettle.git",
        time=time,
        login="git",
        source=source,
        refs=tuple(RefUpdate(change.ref, change.old or NO_NODE, change.new or NO_NODE) for change in changes),
        options=options,
        alert=alert or {},
    )
    return Push(event, GIT, "oberon" if alert else "" if source == "reconcile" else "ada", changes, commits, len(commits))


def branch(name: str, action: RefAction, old: str | None, new: str | None, *commits: Commit, dropped: int = 0) -> RefChange:
    nodes = tuple(commit.node for commit in commits)
    return RefChange(f"refs/heads/{name}", name, RefKind.BRANCH, action, old, new, nodes, dropped)


# ------------------------------------------------------------------------------------------------------------ hg changesets


def changeset(
    revision: int, node: str, parent: str, author: Person, message: str, branch_name: str, manifest: str, *files: FileChange
) -> Commit:
    return Commit(node, (parent,), author, None, message, branch_name, revision, files, manifest)


STEEL = "e46066dc538b22c3bd63ca609f473890d236ab81"
LID = "f304134f21305657976b8181c4a027ef2a595ae8"
OPEN = changeset(
    2,
    "01536fcd3d3732495140f300207abb18a4c7b788",
    LID,
    hedy(1772565300),
    "Open the lid",
    "default",
    "834647768a9722695e7c398c383a4309bcdd4f85",
    FileChange("lid/open.py", FileType.ADDED, None, 12),
)
LEAVE_OPEN = changeset(
    3,
    "2d8417d6b3fce31f345995023ac214241b57edaf",
    OPEN.node,
    hedy(1772566200),
    "Leave it open",
    "default",
    "f3858c4db41e232092d5463f03c138757cb2574f",
    FileChange("lid/lid.py", FileType.MODIFIED, 11, 12),
    FileChange("lid/open.py", FileType.REMOVED, 12, None),
)
RIVETS = changeset(
    4,
    "71cc52335a06ef3bcfcdcba6a0c84f26163adb60",
    STEEL,
    hedy(1772607600),
    "Rivets",
    "stable",
    "07162ae73792049369c5ef4decb7a53e47aab065",
    FileChange("lid/lid.py", FileType.MODIFIED, 14, 23),
)
NO_LID = changeset(
    5,
    "0fec9ae3886999f3c9de93c3be7cbc2c671c5b41",
    LEAVE_OPEN.node,
    ada(1772609400, 3600),
    "No lid",
    "default",
    "3b681f896a387e3279a20cd46709b20e870a46ed",
    FileChange("lid/lid.py", FileType.MODIFIED, 12, 11),
)
NEXT = changeset(
    6,
    "9c9caa0a917a6989a0efd21d88bdbcceb9403856",
    NO_LID.node,
    hedy(1772780400),
    "Begin the next lid",
    "next",
    NO_LID.tree,
)


def hg_push(
    number: int,
    time: float,
    changes: tuple[RefChange, ...],
    commits: tuple[Commit, ...] = (),
    *,
    source: str = "http",
    options: tuple[str, ...] = (),
) -> Push:
    event = Event(
        id=hashlib.sha256(bytes([number])).hexdigest()[:32],
        scm="hg",
        path="/srv/hg/team/lid",
        time=time,
        login="hg",
        source=source,
        first=commits[0].node if commits else None,
        last=commits[-1].node if commits else None,
        options=options,
    )
    return Push(event, HG, "hedy", changes, commits, len(commits))


def named_branch(name: str, old: str, new: str, *commits: Commit) -> RefChange:
    nodes = tuple(commit.node for commit in commits)
    return RefChange(name, name, RefKind.BRANCH, RefAction.UPDATE, old, new, nodes)


# ---------------------------------------------------------------------------------------------------------------- samples

SAMPLES = {
    "git-push": Sample(
        git_push(
            0x01,
            1774852000.25,
            (branch("main", RefAction.UPDATE, BASE, TESTS.node, TAP, TESTS),),
            (TAP, TESTS),
            options=("reviewed-by=grace",),
        ),
        sequence=1,
    ),
    "git-new-branch": Sample(
        git_push(
            0x02,
            1775059260.5,
            (branch("feature/whistle", RefAction.CREATE, None, WHISTLE.node, WHISTLE),),
            (WHISTLE,),
            source="http",
        ),
        sequence=2,
    ),
    "git-tag": Sample(
        git_push(
            0x03,
            1775113210.125,
            (
                RefChange(
                    ref="refs/tags/v1.0",
                    name="v1.0",
                    kind=RefKind.TAG,
                    action=RefAction.CREATE,
                    old=None,
                    new=TAG_OBJECT,
                    tagger=ada(1775113200),
                    message="Kettle 1.0\n\nThe first that whistles.\n",
                ),
            ),
        ),
        sequence=3,
    ),
    "git-rewind": Sample(
        git_push(0x04, 1775201500.0, (branch("main", RefAction.REWIND, WRONG, SAY_WHEN.node, SAY_WHEN, dropped=2),), (SAY_WHEN,)),
        sequence=5,
    ),
    "git-delete": Sample(
        git_push(0x05, 1775300000.0, (branch("feature/whistle", RefAction.DELETE, WHISTLE.node, None),)), sequence=6
    ),
    "git-truncated": Sample(
        git_push(
            0x06, 1775380000.0, (branch("main", RefAction.UPDATE, SAY_WHEN.node, STEPS[-1].node, *STEPS),), STEPS, source="local"
        ),
        sequence=7,
        limits=Limits(max_commits=2, max_files=1, max_message_bytes=16),
    ),
    "git-merge": Sample(
        git_push(
            0x0A, 1775437260.0, (branch("main", RefAction.UPDATE, STEPS[-1].node, MERGE.node, REVERT, MERGE),), (REVERT, MERGE)
        ),
        sequence=8,
    ),
    "git-lightweight-tag": Sample(
        git_push(
            0x0B,
            1775440800.0,
            (RefChange("refs/tags/nightly", "nightly", RefKind.TAG, RefAction.CREATE, None, MERGE.node),),
        ),
        sequence=9,
    ),
    "git-reconciled": Sample(
        git_push(
            0x0C,
            1775059200.0,
            (branch("feature/whistle", RefAction.CREATE, None, WHISTLE.node, WHISTLE),),
            (WHISTLE,),
            source="reconcile",
        ),
        sequence=10,
    ),
    "hg-push": Sample(
        hg_push(
            0x07,
            1772566260.75,
            (named_branch("default", LID, LEAVE_OPEN.node, OPEN, LEAVE_OPEN),),
            (OPEN, LEAVE_OPEN),
            options=("REVIEWED_BY=ada",),
        ),
        sequence=1,
    ),
    "hg-two-branches": Sample(
        hg_push(
            0x08,
            1772609460.0,
            (
                named_branch("stable", STEEL, RIVETS.node, RIVETS),
                named_branch("default", LEAVE_OPEN.node, NO_LID.node, NO_LID),
            ),
            (RIVETS, NO_LID),
            source="ssh",
        ),
        sequence=2,
    ),
    "hg-bookmark": Sample(
        hg_push(
            0x09,
            1772700000.0,
            (RefChange("tea-time", "tea-time", RefKind.BOOKMARK, RefAction.UPDATE, LEAVE_OPEN.node, NO_LID.node),),
        ),
        sequence=3,
    ),
    "hg-new-branch": Sample(
        hg_push(
            0x0D,
            1772780460.0,
            (RefChange("next", "next", RefKind.BRANCH, RefAction.CREATE, None, NEXT.node, (NEXT.node,)),),
            (NEXT,),
        ),
        sequence=4,
    ),
    "alert": Sample(
        git_push(
            0x0E,
            1775500000.0,
            (),
            source="local",
            alert={
                "kind": "dead",
                "service": "ci",
                "reason": "HTTP 503 Service Unavailable",
                "deliveries": 2,
                "text": "2 deliveries to ci of /srv/git/team/kettle.git given up: HTTP 503 Service Unavailable\n"
                "oberon deliveries --dead; oberon redeliver ID",
            },
        ),
        sequence=0,
    ),
}


def written(payload: dict[str, Any]) -> str:
    """A sample's file: keys in the payload's own order, texts readable."""
    return json.dumps(payload, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, sample in SAMPLES.items():
        (FOLDER / f"{name}.json").write_text(written(sample.payload()), "utf-8")
