"""What a measurement is: samples, a goal, and the row of the table that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

TIMES = "×"  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Sample:
    """The values of the same measurement, one a run: at least three but for --quick."""

    of: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """What counts: one odd run does not move it."""
        return median(self.values)


@dataclass(frozen=True, slots=True)
class Goal:
    """The bound that a row's figure is to keep: `comparison` is `>=` or `<=`."""

    comparison: str
    bound: float
    unit: str = TIMES

    def reached_by(self, figure: float) -> bool:
        """Whether the figure keeps the bound."""
        return figure >= self.bound if self.comparison == ">=" else figure <= self.bound

    def __str__(self) -> str:
        sign = {">=": "≥", "<=": "≤"}[self.comparison]
        bound = f"{self.bound:,.0f}" if self.bound >= 1000 else f"{self.bound:.3g}"
        return f"{sign} {bound} {self.unit}"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: ours, and beside it a peer or a limit.

    The figure that the goal bounds is the ratio of the medians, ours to theirs, or, where nothing
    stands beside, our median. A row without a goal informs. `missing` says what could not be
    measured, and why. `detail` has figures that explain the row, such as seconds by model.
    `measurement` is what --only calls it.
    """

    work: str
    ours: Sample | None = None
    other: Sample | None = None
    goal: Goal | None = None
    note: str = ""
    missing: str = ""
    detail: Mapping[str, Sequence[float]] = field(default_factory=dict)
    measurement: str = ""
    is_quick: bool = False
    measured_at: str = ""
    commit: str = ""

    @property
    def ratio(self) -> float | None:
        """The median of ours divided by that of the peer or limit."""
        if self.ours is None or self.other is None or not self.other.median:
            return None
        return self.ours.median / self.other.median

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None where there is no goal or no figure."""
        if self.goal is None or self.ours is None or self.missing:
            return None
        figure = self.ours.median if self.other is None else self.ratio
        return None if figure is None else self.goal.reached_by(figure)


class ViolationError(Exception):
    """What was counted in the database contradicts what was answered: a defect, not a slow run."""


class MissingError(Exception):
    """Something that a row needs is not on this machine; says what to install or to give."""


def alternated(
    runs: int, *measurements: Callable[[], Mapping[str, float]]
) -> list[dict[str, tuple[float, ...]]]:
    """Runs the measurements in turn, `runs` times, and gathers each one's figures by name."""
    gathered: list[dict[str, list[float]]] = [{} for _ in measurements]
    for _ in range(runs):
        for figures, measure in zip(gathered, measurements, strict=True):
            for name, value in measure().items():
                figures.setdefault(name, []).append(value)
    return [{name: tuple(values) for name, values in figures.items()} for figures in gathered]


def check_answers(what: str, refused: int) -> None:
    """Raises ViolationError where requests were answered with anything but 2xx."""
    if refused:
        raise ViolationError(f"{what}: {refused:,} answers were not 2xx")


def check_count(what: str, answered: int, counted: int, abandoned: int = 0) -> None:
    """Raises ViolationError unless every event answered with 2xx is in the database.

    Rows may be more by what the load generator had in flight, `abandoned` at most, when it ended.
    """
    if not answered <= counted <= answered + abandoned:
        raise ViolationError(
            f"{what}: {answered:,} events were answered with 2xx, {counted:,} rows are there"
        )
