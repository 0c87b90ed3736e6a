"""Who pushed, and to which repository, as the forge or web server around git tells its hooks.

`FORGES` is the one table: a row for each forge, with the variables it sets for hooks, from its own documentation or source.
Rows stand in the order in which they are asked, the special before the general: what sits behind a web server may see that
server's REMOTE_USER too. The first row that has a value gives it; settings come before all of them, the unix user and the
path after.

The hook imports this module for `VARIABLES` and pays for what it imports: so nothing at the top.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from brokers.config import Settings
    from payload.push import Event, Repository


class Forge:
    """A row: names of variables, () or '' for what the forge does not tell. `VAR:key.key` looks into the JSON in VAR."""

    __slots__ = ("beside", "home", "links", "name", "owner", "path", "pusher", "repository", "service", "url")

    def __init__(
        self,
        name: str,
        *,
        pusher: tuple[str, ...] = (),
        path: str = "",
        owner: str = "",
        repository: str = "",
        url: str = "",
        beside: str = "",
        home: str = "",
        service: str = "",
        links: str | None = None,
    ) -> None:
        self.name = name
        self.pusher = pusher
        """The first that is set names who pushed."""
        self.path = path
        """`owner/repository` in one, maybe with groups between; the last part is the repository."""
        self.owner = owner
        self.repository = repository
        self.url = url
        """The server's own address, as it is configured: never what a pusher's request says it is."""
        self.beside = beside
        """Tells whether this is a repository beside the one named, as that of its wiki: see `_BESIDE`."""
        self.home = home
        """What stands before the owner's name in the forge's own addresses."""
        self.service = service
        """What stands at the end of `path` when git is pushed to; without it the variable is another's. Such a path is part of
        an address: without a folder it tells no owner, and pushes over ssh would name another repository."""
        self.links = links
        """Its pages: a name in `payload.links.WEB_INTERFACES`."""

    def variables(self) -> tuple[str, ...]:
        """Every variable the row reads."""
        named = (*self.pusher, self.path, self.owner, self.repository, self.url, self.beside)
        return tuple(name.partition(":")[0] for name in named if name)


FORGES = (
    # From modules/repository/env.go and cmd/serv.go. A deploy key goes by the name of the repository's owner.
    Forge(
        "Gitea, Forgejo",
        pusher=("GITEA_PUSHER_NAME",),
        owner="GITEA_REPO_USER_NAME",
        repository="GITEA_REPO_NAME",
        url="GITEA_ROOT_URL",
        beside="GITEA_REPO_IS_WIKI",
        links="gitea",
    ),
    # From internal/database/repo_editor.go, ComposeHookEnvs.
    Forge("Gogs", pusher=("GOGS_AUTH_USER_NAME",), owner="GOGS_REPO_OWNER_NAME", repository="GOGS_REPO_NAME", links="gogs"),
    # From Gitaly's hook/custom.go and GitLab's lib/gitlab/gl_repository.rb, as `wiki-12`. The path on disk is a hash.
    Forge("GitLab", pusher=("GL_USERNAME",), path="GL_PROJECT_PATH", beside="GL_REPOSITORY", links="gitlab"),
    # From kallithea/lib/utils2.py, set_hook_environment.
    Forge("Kallithea", pusher=("KALLITHEA_EXTRAS:username",), path="KALLITHEA_EXTRAS:repository", links="kallithea"),
    # From rhodecode/lib/base.py, vcs_operation_context. Its server_url is the Host that the pusher asked for.
    Forge("RhodeCode", pusher=("RC_SCM_DATA:username",), path="RC_SCM_DATA:repository", links="rhodecode"),
    # From git.sr.ht's cmd/shell/main.go. There owner_name is bare, addresses have `~name`.
    Forge(
        "sourcehut",
        pusher=("SRHT_PUSH_CTX:user.name",),
        owner="SRHT_PUSH_CTX:repo.owner_name",
        repository="SRHT_PUSH_CTX:repo.name",
        home="~",
        links="sourcehut",
    ),
    # From userguide/diffusion_hooks.diviner. PHABRICATOR_REPOSITORY is a PHID, no name.
    Forge("Phorge", pusher=("PHABRICATOR_USER",), links="phorge"),
    # From src/gitolite-shell, main. Over http GL_USER is REMOTE_USER.
    Forge("gitolite", pusher=("GL_USER",), path="GL_REPO"),
    Forge("GitLab, a deploy key", pusher=("GL_ID",)),  # `key-12`: no user, but more than `git`
    # From git-http-backend(1), "ENVIRONMENT"; and `command="REMOTE_USER=ann ..."` in authorized_keys.
    Forge(
        "git http-backend, or command= of an ssh key",
        pusher=("REMOTE_USER",),
        path="PATH_INFO",
        service="/git-receive-pack",
    ),
)

_BESIDE = {"true": ".wiki", "wiki": ".wiki", "design": ".design"}
"""What such a repository is called more than the one it is beside: by the word before the first `-` of what `beside` tells."""

_OBJECT_DIRECTORIES = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")  # githooks.reading.store

VARIABLES: tuple[str, ...] = tuple(dict.fromkeys([*(name for row in FORGES for name in row.variables()), *_OBJECT_DIRECTORIES]))
"""What a git hook records of its environment; each once."""


def remembered(environ: "Mapping[str, str]") -> dict[str, str]:
    """What a hook records of `environ`: of a variable with JSON only what the table reads, for the rest may be a secret."""
    kept = {name: environ[name] for name in VARIABLES if name in environ}
    for row in FORGES:
        if row.service and not kept.get(row.path, "").endswith(row.service):
            kept.pop(row.path, None)
    told = [name for row in FORGES for name in (*row.pusher, row.path, row.owner, row.repository) if ":" in name]
    for variable in {name.partition(":")[0] for name in told} & kept.keys():
        import json

        held: dict[str, Any] = {}
        for name in told:
            inner = held
            if name.startswith(variable + ":"):
                *folders, key = name.partition(":")[2].split(".")
                for folder in folders:
                    inner = inner.setdefault(folder, {})
                inner[key] = _look_up(environ, name)
        kept[variable] = json.dumps(held)
    return kept


def pusher(event: "Event") -> str:
    """Who pushed: as the first forge that says so names them, else the unix user the hook ran as.

    Over http that user is the web server's. Nobody logged in: `anonymous`, as git-http-backend(1) calls them. '' where no hook
    has recorded the push.
    """
    from payload import text
    from payload.push import RECONCILE

    if event.source == RECONCILE:
        return ""  # the environment is that of another push
    told = (_look_up(event.environment, name) for row in FORGES for name in row.pusher)
    return text.repair(next(filter(None, told), "anonymous" if event.source == "http" else event.login))


def repository(event: "Event", settings: "Settings") -> "Repository":
    """The repository: from the settings, else as the forge names it, else from its path."""
    from payload import text
    from payload.links import Templates
    from payload.push import Repository

    owner, name, url = _told(event)
    return Repository.named(
        event.scm,
        text.repair(event.path),
        owner=settings.owner or owner,
        name=settings.name or None,
        slug=settings.slug or name,
        absolute_url=settings.absolute_url or None,
        website=settings.website or None,
        canon_url=settings.canon_url or url,
        is_private=settings.private,
        links=Templates.chosen(
            settings.links or _interface(event.environment),
            repository=settings.repository_url,
            commit=settings.commit_url,
            compare=settings.compare_url,
        ),
    )


def _told(event: "Event") -> tuple[str | None, str | None, str | None]:
    """Owner, name and server's address as a forge tells them; None each if none does."""
    from payload import text

    environ = event.environment
    for row in FORGES:
        owner, name = _place(row, environ)
        if name:
            url = text.repair(_look_up(environ, row.url))
            return text.repair(owner), text.repair(name), None if not url or "@" in url else url  # no login is told to services
    return None, None, None


def _place(row: Forge, environ: "Mapping[str, str]") -> tuple[str, str]:
    """Owner and name as the row tells them, fit for a path; '' each if it does not."""
    repository = _look_up(environ, row.path or row.repository)
    if not repository.endswith(row.service):
        return "", ""
    path = f"{_look_up(environ, row.owner)}/{repository.removesuffix(row.service)}"
    parts = [part for part in path.split("/") if part not in ("", ".", "..", ".git")]
    if not (repository and parts) or (row.service and len(parts) == 1):
        return "", ""
    suffix = _suffix(row, environ)
    name = parts.pop().removesuffix(".git").removesuffix(suffix) + suffix
    owner = "/".join(parts)
    return row.home + owner.removeprefix(row.home) if owner else "", name


def _suffix(row: Forge, environ: "Mapping[str, str]") -> str:
    return _BESIDE.get(_look_up(environ, row.beside).partition("-")[0].lower(), "")


def _interface(environ: "Mapping[str, str]") -> str | None:
    """The web interface of the first forge that tells anything; None if there is none, or it has no pages for this repository."""
    for row in FORGES:
        if _place(row, environ)[1] or any(_look_up(environ, name) for name in row.pusher):
            return None if _suffix(row, environ) else row.links
    return None


def _look_up(environ: "Mapping[str, str]", name: str) -> str:
    """The value of `VAR` or `VAR:key.key`; '' if it is not there."""
    variable, _, keys = name.partition(":")
    value = environ.get(variable, "")
    if not (keys and value):
        return value
    import json

    try:
        held = json.loads(value)
        for key in keys.split("."):
            held = held[key]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return held if isinstance(held, str) else ""
