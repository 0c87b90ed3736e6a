"""What was measured, as rows of figures beside their goals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from tests.bench.measuring import Run, median, ratio

_COLUMNS = ("wall", "x wall", "x in process", "x CPU", "largest", "Python", "goals")


@dataclass(frozen=True)
class Goal:
    """A figure that is to be at most `most`, or at least `least`."""

    figure: str
    value: float
    most: float | None = None
    least: float | None = None
    judged: bool = True
    """False in a run that the goals are not for."""

    @property
    def met(self) -> bool | None:
        """Whether it is; None: it is not judged."""
        if not self.judged:
            return None
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    def __str__(self) -> str:
        if not self.judged:
            return f"{self.figure} {self.value:.2f}"
        bound = f"<= {self.most:g}" if self.most is not None else f">= {self.least:g}"
        return f"{self.figure} {self.value:.2f} {bound} {'met' if self.met else 'NOT MET'}"


@dataclass(frozen=True)
class Row:
    """A program, and its figures: ratios are those to the reference, the first row of its section."""

    label: str
    commits: int
    wall_s: float
    wall_ratio: float
    in_process_ratio: float | None = None
    """Without Python's start, against the reference as a whole."""
    cpu_ratio: float | None = None
    largest_mb: float | None = None
    """Peak memory of the largest process."""
    python_mb: float | None = None
    """Peak memory of the Python process."""
    goals: Sequence[Goal] = field(default=())

    def cells(self) -> list[str]:
        """As they are printed."""
        ratios = [_number(one, "{:.2f}") for one in (self.wall_ratio, self.in_process_ratio, self.cpu_ratio)]
        memory = [_number(one, "{:.0f} MB") for one in (self.largest_mb, self.python_mb)]
        return [self.label, str(self.commits), _seconds(self.wall_s), *ratios, *memory, "; ".join(map(str, self.goals))]


@dataclass
class Section:
    """Rows that are compared with one another."""

    title: str
    unit: str = "commits"
    """What `Row.commits` counts."""
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        table = [["", self.unit, *_COLUMNS], *(row.cells() for row in self.rows)]
        widths = [max(len(cells[column]) for cells in table) for column in range(len(table[0]))]
        lines = [
            "  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:-1], widths[1:-1]), cells[-1]]).rstrip()
            for cells in table
        ]
        return "\n".join(["", self.title, *(lines if self.rows else ()), *self.notes])


def rows(runs: Mapping[str, list[Run]], commits: int, goals: Mapping[str, Sequence[Goal]]) -> list[Row]:
    """A row for each program, by its label; the first is the reference. `commits`, for those that do not tell."""
    reference = next(iter(runs.values()))
    return [
        Row(
            label=label,
            commits=int(own[0].told.get("commits", commits)),
            wall_s=median(own),
            wall_ratio=ratio(own, reference),
            in_process_ratio=ratio(own, reference, "seconds") if "seconds" in own[0].told else None,
            cpu_ratio=ratio(own, reference, "cpu_s"),
            largest_mb=max(run.largest_mb for run in own),
            python_mb=max(run.told["rss_mb"] for run in own) if "rss_mb" in own[0].told else None,
            goals=goals.get(label, ()),
        )
        for label, own in runs.items()
    ]


def as_json(sections: Iterable[Section]) -> str:
    """All of it, for machines."""
    told = []
    for section in sections:
        rows = [asdict(row) | {"goals": [asdict(goal) | {"met": goal.met} for goal in row.goals]} for row in section.rows]
        told.append({"title": section.title, "rows": rows, "notes": section.notes})
    return json.dumps(told, indent=1)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
