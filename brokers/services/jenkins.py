"""Jenkins: a push makes it look for changes, or build a job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from brokers.base import BaseBroker, Field
from brokers.render.heads import heads, repository_address
from brokers.render.subject import alert_of
from brokers.render.template import PUSH, Template, values_of
from brokers.transport import http
from payload import text
from payload.dialects import encoding

_NOTHING = "No "
"""How the plugins' answer begins when no job has the repository: `No git jobs using repository: ...`."""
_NOTE_BYTES = 200
MAX_BRANCHES = 50
"""Of one push: of more, jobs that the git plugin finds are all polled, and one that is named is built for the first."""


class Jenkins(BaseBroker):
    """Tells Jenkins of each branch that was pushed: the jobs of the repository look for changes, or one job is built.

    Without `job` the git or the Mercurial plugin is notified (`/git/notifyCommit`, `/mercurial/notifyCommit`), and finds the
    jobs that clone the repository by its address: give it as they have it, if it is not the repository's page. They need
    "Poll SCM", without a schedule; multibranch pipelines need nothing. For git the token is needed: Manage Jenkins, Security,
    "Git plugin notifyCommit access tokens". Mercurial's has none.

        # git config                                         # hgrc
        [service "ci"]                                       [services]
            broker = jenkins                                 ci.broker = jenkins
            url = https://jenkins.example.org                ci.url = https://jenkins.example.org
            token = file:/etc/oberon/jenkins                 ci.repository = https://hg.example.org/${repository.path}

    With `job` that job is built, as `user`, with an API token of that user (in Jenkins: the user's page, Security, API Token):

        [service "deploy"]                                   [services]
            broker = jenkins                                 deploy.broker = jenkins
            url = https://jenkins.example.org                deploy.url = https://jenkins.example.org
            job = shop/deploy                                deploy.job = shop/deploy
            user = oberon                                    deploy.user = oberon
            token = file:/etc/oberon/jenkins                 deploy.token = file:/etc/oberon/jenkins
            parameters = BRANCH=${branch}&COMMIT=${new}      deploy.parameters = BRANCH=${branch}&COMMIT=${new}

    It is one request for each branch that was pushed, none for tags, bookmarks and deleted branches. Where more than 50 branches
    were pushed, or one with a comma in its name, the git plugin is asked once to poll them all; a job is built for the first 50.
    Mercurial's plugin is notified once a push, whatever moved. The service's `paths` does what "Module name" of Bitbucket's
    Jenkins service did.

    Any 2xx is success. The note has what Jenkins says: the jobs it triggered, or the place in its queue; "nothing was triggered"
    if it names no job, which it never does for multibranch pipelines. After a lost answer a branch is told again: with
    `revision`, and with `job`, it is built twice then, unless the first one still waits in Jenkins' queue.
    """

    fields = (
        Field("URL", type="url", required=True, help="Jenkins' address, as https://jenkins.example.org"),
        Field("Token", secret=True, help="the git plugin's access token; with `job` an API token of `user`"),
        Field("Repository", type="push text", help="the address that jobs clone from; else the repository's page"),
        Field("Revision", type="boolean", default=True, help="git: have the commit built at once; false: have the branch polled"),
        Field("Job", help="the job to build, with the folders it is in: shop/deploy"),
        Field("User", help="whose API token it is"),
        Field("Parameters", type="push text", help="of the job, as NAME=value&NAME=${branch}; a value's own & is %26"),
    )

    def handle(self, payload: dict[str, Any]) -> str:
        """The note: what Jenkins said to each request, each thing once."""
        settings = payload["service"]
        root, headers = settings["url"].rstrip("/"), {"Content-Type": encoding.FORM_TYPE}
        auth = (settings.get("user") or "", settings.get("token") or "") if settings.get("job") else None
        notes = [
            _note(http.check(http.post(root + path, data=form.encode(), headers=headers, auth=auth)))
            for path, form in ([] if alert_of(payload) else _requests(payload, settings))
        ]
        left_out = len(heads(payload)) - MAX_BRANCHES if auth else 0
        notes += [f"{left_out} more branches are not built"] if left_out > 0 else []
        return "; ".join(dict.fromkeys(notes)) or "nothing to build: no branch was pushed"

    def endpoint(self, settings: Mapping[str, Any]) -> str:
        """`host:port` of Jenkins."""
        return http.endpoint(str(settings.get("url", "")))


def _requests(payload: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Path and form of each: in the form, a token is in no address, and so in no log."""
    pushed = heads(payload)
    if settings.get("job"):
        values = values_of(payload)
        path = "".join(f"/job/{quote(name, safe='')}" for name in settings["job"].strip("/").split("/"))
        parameters = Template.parse(settings.get("parameters") or "", PUSH, "form")
        for head in pushed[:MAX_BRANCHES]:
            form = parameters.expand({**values, **head.values})
            yield path + ("/buildWithParameters" if form else "/build"), form
        return
    url = repository_address(payload, settings.get("repository"))
    if payload["repository"].get("scm") == "hg":
        yield "/mercurial/notifyCommit", urlencode({"url": url})
        return
    everywhere = {"url": url, "token": settings.get("token") or ""}
    if len(pushed) > MAX_BRANCHES or any("," in head.branch for head in pushed):  # which Jenkins takes for the end of a name
        yield "/git/notifyCommit", urlencode(everywhere)
        return
    for head in pushed:
        commit = {"sha1": head.node} if settings.get("revision", True) else {}
        yield "/git/notifyCommit", urlencode({**everywhere, "branches": text.repair(head.branch), **commit})


def _note(response: http.Response) -> str:
    if "Location" in response.headers:
        return text.visible(f"queued: {response.headers['Location']}")
    said = "; ".join(response.body.decode("utf-8", "replace").split("\n")).strip("; ")
    told = text.cut(text.visible(said), _NOTE_BYTES)[0]
    if not told:
        return "nothing was triggered"
    return f"nothing was triggered: {told}" if told.startswith(_NOTHING) else told
