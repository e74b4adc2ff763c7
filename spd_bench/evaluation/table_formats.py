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
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "†": r"$\dagger$",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    }
)


class Cell(NamedTuple):
    """The text of a number, whether it is the best of its row, and the marks of significance behind it."""

    text: str
    best: bool = False
    mark: str = ""


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


def print_row(labels: tuple[str, ...], values: Sequence[float], lead: float, marks: Sequence[str] = ()) -> Row:
    """Print numbers with two decimals, NaN as "-"; all that print like the best are best, if there are two numbers.

    Args:
        labels: what the row is about.
        values: its numbers.
        lead: its last number, printed with a sign.
        marks: what to put behind each number; none given means nothing.
    """
    texts = [NO_NUMBER if math.isnan(value) else f"{value:.2f}" for value in values]
    numbers = [float(text) for text in texts if text != NO_NUMBER]
    best = f"{max(numbers):.2f}" if len(numbers) > 1 else None
    cells = tuple(
        Cell(text, best=text == best, mark=mark) for text, mark in zip(texts, marks or [""] * len(texts), strict=True)
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
    """GitHub's Markdown, the best in bold, the statement as a nested list."""
    labels = len(table.rows[0].labels) if table.rows else 2
    rule = ["---"] * labels + ["---:"] * (len(table.header) - labels)
    body = [[*row.labels, *map(_markdown_cell, row.cells), row.lead] for row in table.rows]
    lines = [
        "| " + " | ".join(text.replace("|", r"\|") for text in line) + " |" for line in [table.header, rule, *body]
    ]
    stated = [f"{'  ' * line.level}- {line.text}" for line in table.statement]
    return "\n".join([f"**{table.title}**", "", *lines, "", *stated, ""])


def to_latex(table: PrintedTable) -> str:
    """A LaTeX table environment for the booktabs package, the best in bold, the statement in footnote size."""
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
            rf"\caption{{{_escape(table.title)}.}}",
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
    return (f"**{cell.text}**" if cell.best else cell.text) + cell.mark.replace("*", r"\*")


def _latex_cell(cell: Cell) -> str:
    number = rf"\textbf{{{cell.text}}}" if cell.best else cell.text
    return number + (rf"\textsuperscript{{{_escape(cell.mark)}}}" if cell.mark else "")


def _escape(text: str) -> str:
    return text.translate(_LATEX)


FORMATS: Mapping[str, Callable[[PrintedTable], str]] = {"csv": to_csv, "md": to_markdown, "tex": to_latex}
