"""Field: how a broker declares one of its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from brokers.values import TYPES, convert

SECRET = "secret"  # noqa: S105 - a type's name
_NUMBER = (int, float)
_SEVERAL = (list, tuple)
_OF_DEFAULT: Mapping[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "count": (int,),
    "bytes": (int,),
    "duration": _NUMBER,
    "positive duration": _NUMBER,
    "list": _SEVERAL,
    "mails": _SEVERAL,
    "durations": _SEVERAL,
    "events": _SEVERAL,
    "hosts": _SEVERAL,
    "paths": _SEVERAL,
    "headers": _SEVERAL,
}
"""Type -> what a default that is no text may be; those of other types are text."""


@dataclass(frozen=True, slots=True)
class Field:
    """One setting that a broker understands.

    `payload['service']` has it under its name in lower case, converted to `type`:

    | type | in the payload | in the configuration |
    |---|---|---|
    | string, secret | as it is written; a secret is masked wherever it could be shown or kept | any text |
    | boolean | True or False | true, yes, on, 1; false, no, off, 0; in git's also the key alone |
    | integer, count | int, from 0, or 1, upward | 25 |
    | duration | seconds, as float | 30s, 10m, 2h, 3d |
    | bytes | int | 512, 64k, 1m |
    | list | list of str | a, b or a b |
    | url | str that begins with http:// or https:// | https://ci.example.org/hook |
    | choice | one of `choices`, as it stands there | likewise, in any case |
    | push url | likewise; each `${name}` of a push (`payload.placeholders.PUSH`) is filled in by the broker | https://ci.example.org/${repository.slug} |
    | repository url | likewise, or with ssh://, or an absolute path | ssh://git@git.example.org/${repository.slug}.git |
    | headers | list of `Name: value` | X-Token: abc, one a line |
    | message broker url | str that begins with a scheme of `brokers.values.MESSAGE_BROKERS` | amqps://mq.example.org/vhost |
    | push text, commit text | str, likewise | ${user} pushed to ${branch}; ${commit.subject} |
    | mail, mails | str, list of str: addresses | a@example.org |
    | path | str, absolute | /srv/diary, ~/diary |

    Raises ValueError for what cannot work, naming the field.
    """

    name: str
    """In any case; the configuration may write `-` for `_`, which git takes in no name."""
    required: bool = False
    """Without it, or with nothing in it, the service does not run."""
    default: Any = None
    """The value when it is not configured: of the type, or as the configuration would have it (`30s`). None: it is not there."""
    type: str = "string"
    secret: bool = False
    """Masked wherever it could be shown or kept, whatever its type; always so for the type `secret`."""
    choices: Sequence[str] = ()
    """For `type='choice'`."""
    help: str = ""
    """What it is, in a few words, for `oberon brokers NAME` and for messages."""
    validate: Callable[[Any], object] | None = None
    """Called with the converted value. What is wrong with it is raised as ValueError, whose text says what would be right."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a field has no name")
        if self.type not in TYPES:
            raise ValueError(f"the field {self.name} has no type {self.type!r}; there are: {', '.join(TYPES)}")
        if self.type == "choice" and not self.choices:
            raise ValueError(f"the field {self.name} has no choices")
        object.__setattr__(self, "choices", tuple(self.choices))
        object.__setattr__(self, "secret", self.secret or self.type == SECRET)
        object.__setattr__(self, "default", self._plain_default())

    @property
    def key(self) -> str:
        """The name in the payload and, in any case, in the configuration."""
        return self.name.lower()

    @property
    def setting(self) -> str:
        """The name as every configuration can have it: git takes letters, digits and `-`."""
        return self.name.replace("_", "-")

    def value(self, raw: str) -> Any:
        """What `raw`, from a configuration, comes to in the payload. Raises ValueError whose text is what would have been right."""
        try:
            value = convert(raw, self.type, self.choices)
            if self.validate is not None:
                self.validate(value)
        except ValueError:
            raise
        except Exception as error:  # the author's function
            raise ValueError(f"it could not be checked: {type(error).__name__}: {error}") from error
        return list(value) if isinstance(value, tuple) else value  # the payload holds what JSON has

    def _plain_default(self) -> Any:
        default = self.default
        if default is None or default == "":
            return default
        if isinstance(default, str):
            try:
                return self.value(default)
            except ValueError as error:
                raise ValueError(f"the field {self.name} has the default {default!r}: {error}") from error
        wanted = _OF_DEFAULT.get(self.type, (str,))
        if not isinstance(default, wanted) or (isinstance(default, bool) and bool not in wanted):
            raise ValueError(f"the field {self.name}, which is of the type {self.type}, has the default {default!r}")
        return list(default) if isinstance(default, tuple) else default


def by_key(fields: Sequence[Field]) -> dict[str, Field]:
    """Each field under each name, in lower case, that a configuration may have it by."""
    return {key: row for row in fields for key in (row.key, row.setting.lower())}
