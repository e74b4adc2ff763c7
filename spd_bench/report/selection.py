"""Which cases of a comparison a reader should see: the worst and the best of the leading method first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from spd_bench.cells import Cell, Grid
from spd_bench.evaluation.frames import read_frame

_LEADER = "spd"


@dataclass(frozen=True, kw_only=True)
class ChosenCase:
    """A test case that the report shows.

    Attributes:
        case: case id.
        cells: the finished cells of its dataset and fold, in the table's order.
        leader: the one of them by whose score the case was chosen.
        place: how the leading method does here among its cases, in words.
    """

    case: str
    cells: tuple[Cell, ...]
    leader: Cell
    place: str


def choose_cases(cells: Sequence[Cell], grid: Grid, *, count: int) -> list[ChosenCase]:
    """At most ``count`` test cases: worst, best, second worst, second best and so on, the datasets taking turns.

    Args:
        cells: finished cells, in the table's order.
        grid: where their scores lie.
        count: the number of cases.

    Raises:
        InputError: a cell's ``volumes.csv`` is missing or unreadable.
    """
    datasets = list(dict.fromkeys(cell.plan.dataset for cell in cells))
    queues = [_from_both_ends([cell for cell in cells if cell.plan.dataset == name], grid) for name in datasets]
    return [chosen for chosen in chain(*zip_longest(*queues)) if chosen is not None][:count]


def leading_method(cells: Sequence[Cell]) -> str:
    """The method whose cases are ranked: ``spd`` where it was run, else the last row."""
    names = [cell.method.name for cell in cells]
    return _LEADER if _LEADER in names else names[-1]


def distilling_method(cells: Sequence[Cell]) -> str | None:
    """The first row that distils prompts, ``spd`` before its variants; None where there is none."""
    names = [cell.method.name for cell in cells if _LEADER in (cell.method.name, cell.method.base)]
    return _LEADER if _LEADER in names else next(iter(names), None)


def _from_both_ends(cells: Sequence[Cell], grid: Grid) -> list[ChosenCase]:
    """All test cases of one dataset, worst and best first."""
    name = leading_method(cells)
    folds = {fold: tuple(cell for cell in cells if cell.fold == fold) for fold in dict.fromkeys(c.fold for c in cells)}
    leaders = {fold: _leader(own, name) for fold, own in folds.items()}
    scored = []
    for fold, leader in leaders.items():
        volumes = read_frame(grid.folder(leader) / "volumes.csv")
        scored += [
            (float(dice), fold, str(case))
            for case, dice in zip(volumes["case"], volumes["volumetric_dice"], strict=True)
        ]
    # A case without a score is no example of anything: it comes last from either end.
    ranked = sorted((entry for entry in scored if not math.isnan(entry[0])), key=lambda entry: entry)
    places = [f"{_ordinal(rank)} worst of {len(ranked)}" for rank in range((len(ranked) + 1) // 2)]
    places += [f"{_ordinal(rank)} best of {len(ranked)}" for rank in reversed(range(len(ranked) // 2))]
    placed = list(zip(ranked, places, strict=True))
    half = (len(placed) + 1) // 2
    turns = chain(*zip_longest(placed[:half], placed[half:][::-1]))
    ordered = [turn for turn in turns if turn is not None]
    ordered += [(entry, "no score") for entry in scored if math.isnan(entry[0])]
    return [
        ChosenCase(case=case, cells=folds[fold], leader=leaders[fold], place=place)
        for (_, fold, case), place in ordered
    ]


def _leader(cells: Sequence[Cell], name: str) -> Cell:
    return next((cell for cell in cells if cell.method.name == name), cells[-1])


def _ordinal(rank: int) -> str:
    return "the" if rank == 0 else f"number {rank + 1} from the"
