"""Reading a git repository: from the facts that the hook wrote down to what was pushed.

In: an `Event` and the repository's settings. Out: a `Push`, or a `Reading`, which is one whose commits are streamed.
There are two lanes (`lane`), one in this process and one over the git binary, with the same result to the byte; `oberon.gitReader`
chooses. What counts of the hook's environment is in the event; the reader's own is only handed on, cleaned, to git.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from brokers.config import Settings
from brokers.errors import ReadingError, RepositoryGone, RepositoryUnreadable
from githooks.reading.errors import ObjectBroken, ObjectMissing
from githooks.reading.lane import OpenLane
from githooks.reading.reading import Reading
from payload.push import Event, Push

__all__ = ["ObjectBroken", "ObjectMissing", "Reading", "ReadingError", "RepositoryGone", "RepositoryUnreadable", "opened", "read"]

# What an object that nobody thought of may bring out of dulwich.
_UNFORESEEN = (ArithmeticError, AssertionError, LookupError, TypeError, ValueError)

Progress = Callable[[int, int], None]
"""Called in the reading thread with how many commits are read, and how many will be."""


def read(
    event: Event,
    settings: Settings,
    needs: frozenset[str] = frozenset(),
    *,
    later: Iterable[Event] = (),
    progress: Progress | None = None,
) -> Push:
    """The push that `event` tells of, with its newest `settings.max_commits` commits in full.

    `needs` are those of the brokers it is for: with `diff` in it each commit has its patch. `later` are events known to have
    come after this one, of this repository or any: they tell what other refs were when it came (`at_the_time`).
    With `oberon.gitReader = auto`, what dulwich cannot read is read by git, if there is one. Raises ReadingError.
    """
    later = list(later)
    try:
        return _read(event, settings, needs, later, progress)
    except RepositoryGone:
        raise
    except (ReadingError, *_UNFORESEEN) as error:
        from githooks.reading import git_binary

        if settings.git_reader != "auto" or not git_binary.is_there():
            raise
        try:
            return _read(event, settings, needs, later, progress, lane_name="git")
        except (ReadingError, *_UNFORESEEN):
            raise error from None


def _read(
    event: Event,
    settings: Settings,
    needs: frozenset[str],
    later: Iterable[Event],
    progress: Progress | None,
    lane_name: str | None = None,
) -> Push:
    with opened(event, settings, needs, later=later, progress=progress, lane_name=lane_name) as reading:
        return Push(
            event=event,
            repository=reading.repository,
            user=reading.user,
            refs=reading.refs,
            commits=tuple(reading.commits),
            total_commits=reading.total_commits,
        )


@contextmanager
def opened(
    event: Event,
    settings: Settings,
    needs: frozenset[str] = frozenset(),
    *,
    later: Iterable[Event] = (),
    progress: Progress | None = None,
    lane_name: str | None = None,
) -> Iterator[Reading]:
    """The same, with commits read one after another as they are asked for: memory does not grow with their contents.

    `lane_name` stands in for `settings.git_reader`. Raises ReadingError, also while commits are asked for.
    """
    with ExitStack() as stack:
        lane = stack.enter_context(_lane(lane_name or settings.git_reader, event))
        yield stack.enter_context(Reading(lane, event, settings, needs, later, progress))


def _lane(name: str, event: Event) -> OpenLane:
    if name == "git":
        from githooks.reading.with_git import GitLane

        return GitLane(event)
    if name == "dulwich":
        from githooks.reading.with_dulwich import DulwichLane

        return DulwichLane(event)
    from githooks.reading import git_binary
    from githooks.reading.with_both import BothLanes

    try:
        return BothLanes(event)
    except RepositoryUnreadable:
        if not git_binary.is_there():
            raise
        return _lane("git", event)
