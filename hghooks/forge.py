"""Who pushed, and to which repository: what Mercurial's servers and forges leave in a hook's environment.

A table with one row for each, asked from the top; what no row knows falls to the unix user and the repository's path.
The hook keeps `remembered` of its environment in the event, the reader asks `pusher` and `repository` of that.
Sources of the rows: each forge's own hook code; the url of a changegroup: mercurial/wireprotoserver.py, `client()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from brokers.config import Settings
    from payload.push import Event, Repository

URL = "HG_URL"  # the name external hooks know the changegroup's url by

# Of variables that hold JSON: these keys are kept, for the others may be addresses and tokens of the forge's inside.
JSON_KEYS = ("username", "repository")
NAME = "web.name"  # a setting of hgweb's (`hg help config.web`), recorded like a variable: the repository's name for people

OF_REQUEST = ("REMOTE_USER", "REPO_NAME", "PATH_INFO")
"""What a web server tells of one request: under that name its process may have something else."""


class Identity(NamedTuple):
    """What one row tells; None: nothing."""

    user: str | None
    repository: str | None
    """Path of the repository as the forge shows it, `group/sub/name`."""


class Forge(NamedTuple):
    """One row: the variables it needs, and what follows from them."""

    name: str
    variables: tuple[str, ...]
    identify: Callable[[Mapping[str, str]], Identity]
    json: bool = False
    """Whether the variables hold JSON, of which JSON_KEYS are kept."""
    links: str | None = None
    """Its pages: a name in `payload.links.WEB_INTERFACES`."""


def _from_json(variable: str) -> Callable[[Mapping[str, str]], Identity]:
    def identify(environment: Mapping[str, str]) -> Identity:
        facts = _kept_of_json(environment.get(variable, ""))
        return Identity(*(facts.get(key) or None for key in JSON_KEYS))

    return identify


def _heptapod(environment: Mapping[str, str]) -> Identity:
    group, project = environment.get("HEPTAPOD_PROJECT_NAMESPACE_FULL_PATH"), environment.get("HEPTAPOD_PROJECT_PATH")
    beside = ".wiki" if environment.get("HEPTAPOD_REPOSITORY_USAGE") == "wiki" else ""
    path = f"{group}/{project.removesuffix(beside)}{beside}" if group and project else None
    return Identity(environment.get("HEPTAPOD_USERINFO_USERNAME"), path)


def _phabricator(environment: Mapping[str, str]) -> Identity:
    return Identity(environment.get("PHABRICATOR_USER"), None)  # PHABRICATOR_REPOSITORY is a PHID, no name


def _hgweb(environment: Mapping[str, str]) -> Identity:
    """The path that was asked for. Without a folder it tells no owner, and pushes over ssh would name another repository."""
    path = (environment.get("REPO_NAME") or environment.get("PATH_INFO", "")).strip("/")
    return Identity(None, path if "/" in path and source_of(environment.get(URL, "")) == "http" else None)


def _scm_manager(environment: Mapping[str, str]) -> Identity:
    if not environment.get("SCM_REPOSITORY_ID"):
        return Identity(None, None)
    return Identity(environment.get("REMOTE_USER"), environment.get("REPO_NAME"))


def _remote_user(environment: Mapping[str, str]) -> Identity:
    return Identity(environment.get("REMOTE_USER"), None)


def _url_user(environment: Mapping[str, str]) -> Identity:
    """`remote:http:HOST:USER`, host and user percent-encoded; nobody logged in: no user."""
    from urllib.parse import unquote

    url = environment.get(URL, "")
    if source_of(url) != "http":
        return Identity(None, None)
    return Identity(unquote(url.rpartition(":")[2], errors="surrogateescape") or None, None)


FORGES: tuple[Forge, ...] = (
    # From the functional tests of Heptapod, test_push_hook_env, and its hgserve, apply_heptapod_headers.
    Forge(
        "Heptapod",
        (
            "HEPTAPOD_USERINFO_USERNAME",
            "HEPTAPOD_PROJECT_NAMESPACE_FULL_PATH",
            "HEPTAPOD_PROJECT_PATH",
            "HEPTAPOD_REPOSITORY_USAGE",
        ),
        _heptapod,
        links="heptapod",
    ),
    # From kallithea/lib/utils2.py, set_hook_environment.
    Forge("Kallithea", ("KALLITHEA_EXTRAS",), _from_json("KALLITHEA_EXTRAS"), json=True, links="kallithea"),
    # From vcsserver/hooks.py, _extras_from_ui. Its server_url is the Host that the pusher asked for.
    Forge("RhodeCode", ("RC_SCM_DATA",), _from_json("RC_SCM_DATA"), json=True, links="rhodecode"),
    # From userguide/diffusion_hooks.diviner.
    Forge("Phorge, Phabricator", ("PHABRICATOR_USER",), _phabricator, links="phorge"),
    # From scm-hg-plugin, DefaultHgEnvironmentBuilder and HgCGIServlet. REPO_NAME is `namespace/name`; hgweb shows no pages.
    Forge("SCM-Manager", ("SCM_REPOSITORY_ID", "REPO_NAME", "REMOTE_USER"), _scm_manager),
    # From mercurial/hgweb/request.py, parserequestfromenv.
    Forge("hgweb of several repositories", ("REPO_NAME", "PATH_INFO", URL), _hgweb, links="hgweb"),
    # With hg-ssh `command="REMOTE_USER=alice hg-ssh ..."`, and the web server's name for who logged in
    Forge("web server or ssh key", ("REMOTE_USER",), _remote_user),
    Forge("hgweb", (URL,), _url_user),
)


def remembered(look_up: Callable[[str], str | None], url: str) -> dict[str, str]:
    """The variables of the table that `look_up` finds (None: not set), and the changegroup's url if it is a server's own.

    Other urls (`pull` from one with a password in it) are nobody's business.
    """
    environment = {}
    for forge in FORGES:
        for name in forge.variables:
            value = url if name == URL and url.startswith("remote:") else look_up(name)
            if value and forge.json:
                value = _as_json(_kept_of_json(value))
            if value:
                environment[name] = value
    if shown := look_up(NAME):
        environment[NAME] = shown
    return environment


def source_of(url: str) -> str:
    """`ssh`, `http` or `local`, from the url a changegroup hook is given."""
    scheme = url.removeprefix("remote:").partition(":")[0] if url.startswith("remote:") else ""
    return {"ssh": "ssh", "http": "http", "https": "http"}.get(scheme, "local")


def pusher(event: Event) -> str:
    """Who pushed, as the first row that knows tells it, else the unix user the hook ran as; `anonymous` over http.

    '' where no hook has recorded the push.
    """
    from payload.push import RECONCILE

    if event.source == RECONCILE:
        return ""  # the environment is that of another push
    told = (forge.identify(event.environment).user for forge in FORGES)
    return next(filter(None, told), "anonymous" if event.source == "http" else event.login)


def repository_path(environment: Mapping[str, str]) -> str | None:
    """`group/name` as the first row that knows tells it."""
    return next((path for forge in FORGES if (path := forge.identify(environment).repository)), None)


def repository(event: Event, settings: Settings) -> Repository:
    """The repository: from the settings, else as a forge or hgweb calls it, else from its path."""
    from payload import text
    from payload.links import Templates
    from payload.push import Repository

    shown = repository_path(event.environment) or ""
    parts = [part for part in text.repair(shown).split("/") if part not in ("", ".", "..")]
    slug = parts.pop() if parts else None
    return Repository.named(
        event.scm,
        text.repair(event.path),
        owner=settings.owner or ("/".join(parts) if slug else None),
        name=settings.name or text.repair(event.environment.get(NAME, "")) or None,
        slug=settings.slug or slug,
        absolute_url=settings.absolute_url or None,
        website=settings.website or None,
        canon_url=settings.canon_url or None,
        is_private=settings.private,
        links=Templates.chosen(
            settings.links or _interface(event.environment),
            repository=settings.repository_url,
            commit=settings.commit_url,
            compare=settings.compare_url,
        ),
    )


def _interface(environment: Mapping[str, str]) -> str | None:
    """The web interface of the first row that knows anything; None if there is none, or it has no pages for this repository."""
    if environment.get("HEPTAPOD_REPOSITORY_USAGE") == "wiki":
        return None
    return next((forge.links for forge in FORGES if any(forge.identify(environment))), None)


def _kept_of_json(raw: str) -> dict[str, str]:
    from json import loads  # dear, and few need it

    try:
        facts = loads(raw) if raw else {}
    except (ValueError, RecursionError):
        return {}
    return {key: facts[key] for key in JSON_KEYS if isinstance(facts.get(key), str)} if isinstance(facts, dict) else {}


def _as_json(facts: Mapping[str, str]) -> str | None:
    from json import dumps

    return dumps(facts) if facts else None
