"""A printed table as CSV, Markdown and LaTeX (booktabs)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from spd_bench.evaluation.statement import Statement

NO_NUMBER = "-"
_SPREAD = "± is half the width of the 95 % interval of the mean, from a bootstrap over patients"
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "†": r"$\dagger$",
        "±": r"$\pm$",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        # Old font encodings have other signs in these places.
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        # At the start of a row they would belong to the end of the row before.
        "[": "{[}",
        "*": "{*}",
    }
)


class Cell(NamedTuple):
    """A number as it is printed.

    Attributes:
        text: the number.
        best: whether it is the best of its row.
        mark: marks of significance behind it.
        spread: half the width of its confidence interval, empty where there is none.
    """

    text: str
    best: bool = False
    mark: str = ""
    spread: str = ""


class Row(NamedTuple):
    """One line of a table: what it is about, its numbers, and the lead."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    lead: str


@dataclass(frozen=True, kw_only=True)
class PrintedTable:
    """A table whose numbers have become text.

    Attributes:
        name: the metric, used for labels.
        title: one sentence over the table.
        header: headings of all columns: labels, methods, lead.
        rows: the lines.
        statement: what the table stands on, printed under it.
    """

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    statement: Statement


def print_row(
    labels: tuple[str, ...],
    values: Sequence[float],
    lead: float,
    marks: Sequence[str] = (),
    *,
    spreads: Sequence[float] = (),
) -> Row:
    """Print numbers with two decimals, NaN as "-"; all that print like the best are best, if there are two numbers.

    Args:
        labels: what the row is about.
        values: its numbers.
        lead: its last number, printed with a sign.
        marks: what to put behind each number; none given means nothing.
        spreads: half the width of each number's confidence interval, NaN where there is none.
    """
    texts = [NO_NUMBER if math.isnan(value) else f"{value:.2f}" for value in values]
    spread_texts = ["" if math.isnan(value) else f"{value:.2f}" for value in spreads]
    numbers = [float(text) for text in texts if text != NO_NUMBER]
    best = f"{max(numbers):.2f}" if len(numbers) > 1 else None
    nothing = [""] * len(texts)
    cells = tuple(
        Cell(text, best=text == best, mark=mark, spread=spread)
        for text, mark, spread in zip(texts, marks or nothing, spread_texts or nothing, strict=True)
    )
    return Row(labels, cells, NO_NUMBER if math.isnan(lead) else f"{lead:+.2f}")


def to_csv(table: PrintedTable) -> str:
    """CSV of the numbers alone; marks and statement would not be CSV and stand in the other two formats."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows([*row.labels, *(cell.text for cell in row.cells), row.lead] for row in table.rows)
    return stream.getvalue()


def to_markdown(table: PrintedTable) -> str:
    """GitHub's Markdown with half the width of our numbers' confidence intervals; the statement as a nested list.

    The best are in bold, marks of significance stand behind numbers.
    """
    labels = len(table.rows[0].labels) if table.rows else 2
    rule = ["---"] * labels + ["---:"] * (len(table.header) - labels)
    body = [[*row.labels, *map(_markdown_cell, row.cells), row.lead] for row in table.rows]
    lines = [
        "| " + " | ".join(text.replace("|", r"\|") for text in line) + " |" for line in [table.header, rule, *body]
    ]
    stated = [f"{'  ' * line.level}- {line.text}" for line in table.statement]
    return "\n".join([f"**{_caption(table)}**", "", *lines, "", *stated, ""])


def to_latex(table: PrintedTable) -> str:
    """A LaTeX table environment for the booktabs package, with half the width of our numbers' confidence intervals.

    The best are in bold, marks of significance stand behind numbers, the statement in footnote size.
    """
    labels = len(table.rows[0].labels) if table.rows else 2
    body = [
        [
            *map(_escape, row.labels),
            *map(_latex_cell, row.cells),
            row.lead,
        ]
        for row in table.rows
    ]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escape(_caption(table))}.}}",
            rf"\label{{tab:{table.name}}}",
            rf"\begin{{tabular}}{{{'l' * labels}{'r' * (len(table.header) - labels)}}}",
            r"\toprule",
            " & ".join(map(_escape, table.header)) + r" \\",
            r"\midrule",
            *(" & ".join(line) + r" \\" for line in body),
            r"\bottomrule",
            r"\end{tabular}",
            "",
            r"\raggedright\footnotesize",
            *(rf"\noindent\hspace*{{{line.level}em}}{_escape(line.text)}\par" for line in table.statement),
            r"\end{table}",
            "",
        ]
    )


def _markdown_cell(cell: Cell) -> str:
    number = (f"**{cell.text}**" if cell.best else cell.text) + cell.mark.replace("*", r"\*")
    return number + (f" ± {cell.spread}" if cell.spread else "")


def spread_note(table: PrintedTable) -> str:
    """What ± means in the table; empty where it is not used."""
    return _SPREAD if any(cell.spread for row in table.rows for cell in row.cells) else ""


def _caption(table: PrintedTable) -> str:
    note = spread_note(table)
    return table.title + (f". {note}" if note else "")


def _latex_cell(cell: Cell) -> str:
    number = rf"\textbf{{{cell.text}}}" if cell.best else cell.text
    mark = rf"\textsuperscript{{{_escape(cell.mark)}}}" if cell.mark else ""
    return number + mark + (rf" {{\scriptsize$\pm$ {cell.spread}}}" if cell.spread else "")


def _escape(text: str) -> str:
    return text.translate(_LATEX)


FORMATS: Mapping[str, Callable[[PrintedTable], str]] = {"csv": to_csv, "md": to_markdown, "tex": to_latex}
