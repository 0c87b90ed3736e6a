"""Who pushed, and to which repository, as the forge or web server around git tells its hooks.

`FORGES` is the one table: a row for each forge, with the variables it sets for hooks, from its own documentation or source.
Rows stand in the order in which they are asked, the special before the general: what sits behind a web server may see that
server's REMOTE_USER too. The first row that has a value gives it; settings come before all of them, the unix user and the
path after.

The hook imports this module for `VARIABLES` and pays for what it imports: so nothing at the top.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from brokers.config import Settings
    from payload.push import Event, Repository


class Forge:
    """A row: names of variables, () or '' for what the forge does not tell. `VAR:key.key` looks into the JSON in VAR."""

    __slots__ = ("name", "owner", "path", "pusher", "repository", "url")

    def __init__(
        self, name: str, *, pusher: tuple[str, ...] = (), path: str = "", owner: str = "", repository: str = "", url: str = ""
    ) -> None:
        self.name = name
        self.pusher = pusher
        """The first that is set names who pushed."""
        self.path = path
        """`owner/repository` in one, maybe with groups between; the last part is the repository."""
        self.owner = owner
        self.repository = repository
        self.url = url
        """The server's own address."""

    def variables(self) -> tuple[str, ...]:
        """Every variable the row reads."""
        named = (*self.pusher, self.path, self.owner, self.repository, self.url)
        return tuple(name.partition(":")[0] for name in named if name)


FORGES = (
    Forge(
        "Gitea, Forgejo",
        pusher=("GITEA_PUSHER_NAME",),
        owner="GITEA_REPO_USER_NAME",
        repository="GITEA_REPO_NAME",
        url="GITEA_ROOT_URL",
    ),
    Forge("Gogs", pusher=("GOGS_AUTH_USER_NAME",), owner="GOGS_REPO_OWNER_NAME", repository="GOGS_REPO_NAME"),
    Forge("GitLab", pusher=("GL_USERNAME",), path="GL_PROJECT_PATH"),
    Forge("Kallithea", pusher=("KALLITHEA_EXTRAS:username",), path="KALLITHEA_EXTRAS:repository"),
    Forge("RhodeCode", pusher=("RC_SCM_DATA:username",), path="RC_SCM_DATA:repository"),
    Forge(
        "sourcehut",
        pusher=("SRHT_PUSH_CTX:user.name",),
        owner="SRHT_PUSH_CTX:repo.owner_name",
        repository="SRHT_PUSH_CTX:repo.name",
    ),
    Forge("Phorge", pusher=("PHABRICATOR_USER",)),  # PHABRICATOR_REPOSITORY is a PHID, no name
    Forge("gitolite", pusher=("GL_USER",), path="GL_REPO"),
    Forge("GitLab, a deploy key", pusher=("GL_ID",)),  # `key-12`: no user, but more than `git`
    Forge("git http-backend, or command= of an ssh key", pusher=("REMOTE_USER",)),
)

_OBJECT_DIRECTORIES = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")  # githooks.reading.store

VARIABLES: tuple[str, ...] = tuple(dict.fromkeys([*(name for row in FORGES for name in row.variables()), *_OBJECT_DIRECTORIES]))
"""What a git hook records of its environment; each once."""


def remembered(environ: Mapping[str, str]) -> dict[str, str]:
    """What a hook records of `environ`: of a variable with JSON only what the table reads, for the rest may be a secret."""
    kept = {name: environ[name] for name in VARIABLES if name in environ}
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


def pusher(event: Event) -> str:
    """Who pushed: as the first forge that says so names them, else the unix user the hook ran as."""
    from payload import text

    told = (_look_up(event.environment, name) for row in FORGES for name in row.pusher)
    return text.repair(next(filter(None, told), event.login))


def repository(event: Event, settings: Settings) -> Repository:
    """The repository: from the settings, else as the forge names it, else from its path."""
    from payload import text
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
    )


def _told(event: Event) -> tuple[str | None, str | None, str | None]:
    """Owner, name and server's address as a forge tells them; None each if none does."""
    from payload import text

    environ = event.environment
    for row in FORGES:
        if row.path:
            owner, _, name = _look_up(environ, row.path).strip("/").removesuffix(".git").rpartition("/")
        else:
            owner, name = _look_up(environ, row.owner), _look_up(environ, row.repository)
        if name:
            return text.repair(owner), text.repair(name), text.repair(_look_up(environ, row.url)) or None
    return None, None, None


def _look_up(environ: Mapping[str, str], name: str) -> str:
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
