"""Tables and run records as the page prints them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from spd_bench.evaluation.table_formats import Cell, PrintedTable, spread_note


class Line(NamedTuple):
    """One line of a table on the page: a method and its numbers, one for each column."""

    method: str
    cells: tuple[Cell, ...]


class PageTable(NamedTuple):
    """A printed table turned by a quarter: methods as rows can be sorted, and fit on a telephone.

    Attributes:
        table: the table as it is printed elsewhere.
        columns: labels of each column: dataset and source.
        lines: the methods.
        lead_title: what the last line is.
        leads: its numbers, one for each column.
        spread_note: what ± means in the table, empty where it is not used.
    """

    table: PrintedTable
    columns: tuple[tuple[str, ...], ...]
    lines: tuple[Line, ...]
    lead_title: str
    leads: tuple[str, ...]
    spread_note: str


class RecordText(NamedTuple):
    """A run record: its title, and its values by the path that leads to them."""

    title: str
    values: tuple[tuple[str, str], ...]


def turn_table(table: PrintedTable) -> PageTable:
    """Make a printed table's methods rows."""
    labels = len(table.rows[0].labels) if table.rows else 0
    methods = table.header[labels:-1] if table.rows else ()
    return PageTable(
        table=table,
        columns=tuple(row.labels for row in table.rows),
        lines=tuple(
            Line(method, tuple(row.cells[number] for row in table.rows)) for number, method in enumerate(methods)
        ),
        lead_title=table.header[-1],
        leads=tuple(row.lead for row in table.rows),
        spread_note=spread_note(table),
    )


def record_text(record: Mapping[str, Any]) -> RecordText:
    """A run record in words; nested values get names such as ``settings.batch_size``."""
    title = f"{record.get('method', 'unnamed')}, {record.get('dataset', 'unnamed')}, fold {record.get('fold', '?')}"
    return RecordText(title, tuple(_flat(record)))


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    if value is None or value == {}:
        return "none"
    return str(value)
