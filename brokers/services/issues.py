"""Issues: the issues of Gitea, Forgejo, GitLab and GitHub that commits name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brokers.base import Field
from brokers.trackers.comment import Style
from brokers.trackers.forges import FORGES, ForgeIssues
from brokers.trackers.tracker import WORDS, Tracker


class Issues(Tracker):
    """Comments on the issues that commit messages name (`refs #5`), closes them (`fixes #4`) and opens them again (`reopens #6`).

    For a repository that is not on the forge itself, or is there as a mirror only: of its own repositories a forge reads the
    messages by itself. What closes and what does not is said by `refs`: `refs = refs/heads/main` leaves other branches out,
    and with them what they bring: a commit counts where it came first, and does not when its branch is merged later.

    A message may say `fixes #4`, `closes: #1, #2 and #3`, `resolves issue 7`, `refs #5`; the words are settings. What stands in code
    (backticks, fences), in an address or in the quoted subject of a `Revert "..."` does not count.

    It needs the forge's address, and a token that may write issues: of Gitea and Forgejo under Settings, Applications (scope
    issue: read and write); of GitLab under Preferences, Access tokens, or the project's own (scope api); of GitHub under
    Settings, Developer settings, Fine-grained tokens (permission Issues: read and write).

        # git config                                   # hgrc
        [service "issues"]                             [services]
            broker = issues                            issues.broker = issues
            kind = gitea                               issues.kind = gitea
            url = https://forge.example.org            issues.url = https://forge.example.org
            project = team/kettle                      issues.project = team/kettle
            token = file:/etc/oberon/forge             issues.token = file:/etc/oberon/forge

    Delivered is a push when each issue it names has its comment and its state, or is not there; a push that names none is
    delivered without a word to the forge. An attempt that is repeated looks first whether the issue has the comment already. A
    push tells at most 20 issues, and each of at most 10 commits; those beyond `oberon.maxCommits` are not read.
    """

    style = Style.MARKDOWN
    fields = (
        Field("Kind", type="choice", choices=tuple(FORGES), required=True, help="what runs there"),
        Field("URL", type="url", required=True, help="its address; of GitHub https://api.github.com, or https://HOST/api/v3"),
        Field("Project", help="owner/name there, of GitLab also the number; else as the repository is called here"),
        Field("Token", secret=True, required=True, help="a token that may write issues"),
        *WORDS,
    )

    def tracker(self, payload: Mapping[str, Any]) -> ForgeIssues:
        """The project's issues."""
        return ForgeIssues(payload)
