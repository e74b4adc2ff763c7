"""A LaTeX table is read back by rules of its own: no sign of TeX's is left bare, and every row has all columns."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from spd_bench.evaluation.stars import EXPLANATIONS
from spd_bench.evaluation.statement import Line
from spd_bench.evaluation.table_formats import PrintedTable, print_row, to_latex

NASTY = ["SAM_2 & co", "100 % sure", "#1 {x}", "a\\b", "[7] cited", "<b> | c", "~home^2", "$5", "*", "}{", "naïve", "†"]
TOKEN = re.compile(r"\\[A-Za-z]+|\\.|.", re.DOTALL)
COMMANDS = {
    *("begin", "end", "centering", "caption", "label", "toprule", "midrule", "bottomrule", "raggedright"),
    *("footnotesize", "noindent", "hspace", "par", "textbf", "textsuperscript", "scriptsize", "dagger", "pm"),
    *("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar"),
}


def _table(names: list[str]) -> PrintedTable:
    values = [10.0 + number for number in range(len(names))]
    marks = ["*†" if number == len(names) - 1 else "" for number in range(len(names))]
    spreads = [np.nan if number == 0 else 1.25 for number in range(len(names))]
    return PrintedTable(
        name="average_dice",
        title="Dice of A & B in %",
        header=("dataset", "source", *names, f"{names[-1]} - best other"),
        rows=(
            *(print_row((name, "ours"), values, -1.0, marks, spreads=spreads) for name in names),
            print_row((names[0], "paper"), [np.nan] * len(names), np.nan),
        ),
        statement=tuple(Line(number % 2, text) for number, text in enumerate([*names, *EXPLANATIONS.values()])),
    )


def _tokens(text: str) -> list[str]:
    """Commands and signs; fails on a sign that TeX would not print, on unknown commands and unbalanced groups."""
    text = text.replace(r"\label{tab:average_dice}", "")
    tokens, depth, in_formula = TOKEN.findall(text), 0, False
    for token in tokens:
        depth += {"{": 1, "}": -1}.get(token, 0)
        in_formula ^= token == "$"
        assert depth >= 0
        assert token not in "#%^_~<>|†±", token
        if len(token) > 1:
            assert token[1:] in COMMANDS or token[1:] in "&%$#_{}\\", token
    assert depth == 0
    assert not in_formula
    return tokens


def _rows(text: str) -> list[list[str]]:
    """The rows of the tabular: what stands between its rules, cut at what ends a row and at bare ``&``."""
    body = re.search(r"\\toprule\n(.*)\\bottomrule\n", text, re.DOTALL)
    assert body is not None
    rows, cell = [[]], ""
    for token in _tokens(body.group(1).replace("\\midrule\n", "")):
        if token in ("&", r"\\"):
            rows[-1].append(cell.strip())
            cell = ""
            rows += [[]] if token == r"\\" else []
        else:
            cell += token
    assert cell.strip() == ""
    return rows[:-1]


@pytest.mark.parametrize("names", [NASTY, ["unet", "spd"]])
def test_every_row_has_every_column_whatever_the_names(names: list[str]) -> None:
    text = to_latex(_table(names))
    _tokens(text)
    columns = re.search(r"\\begin\{tabular\}\{(l+r+)\}", text)
    assert columns is not None
    assert len(columns.group(1)) == len(names) + 3
    rows = _rows(text)
    assert [len(row) for row in rows] == [len(names) + 3] * (len(names) + 2)
    # After the end of a row TeX takes a star or a bracket for an argument.
    assert not [row[0] for row in rows if row[0][0] in "*["]


def test_names_come_out_as_they_went_in() -> None:
    printed = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"$\dagger$": "†"}
    printed |= {r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|", "{[}": "[", "{*}": "*"}
    pattern = re.compile("|".join(map(re.escape, printed)) + r"|\\(.)")
    for row, name in zip(_rows(to_latex(_table(NASTY)))[1:], NASTY, strict=False):
        assert pattern.sub(lambda found: found.group(1) or printed[found.group()], row[0]) == name


def test_environments_and_rules_are_those_of_booktabs() -> None:
    text = to_latex(_table(["unet", "spd"]))
    assert re.findall(r"\\(begin|end)\{(\w+)\}", text) == [
        ("begin", "table"),
        ("begin", "tabular"),
        ("end", "tabular"),
        ("end", "table"),
    ]
    assert re.findall(r"\\(toprule|midrule|bottomrule)", text) == ["toprule", "midrule", "bottomrule"]
    assert "hline" not in text


def test_a_number_carries_its_interval_and_the_caption_says_what_that_is() -> None:
    text = to_latex(_table(["unet", "msa", "spd"]))
    line = next(line for line in text.splitlines() if line.startswith("unet & ours"))
    assert line == (
        r"unet & ours & 10.00 & 11.00 {\scriptsize$\pm$ 1.25}"
        r" & \textbf{12.00}\textsuperscript{{*}$\dagger$} {\scriptsize$\pm$ 1.25} & -1.00 \\"
    )
    caption = next(line for line in text.splitlines() if line.startswith(r"\caption"))
    assert caption == (
        r"\caption{Dice of A \& B in \%. $\pm$ is half the width of the 95 \% interval of the mean,"
        r" from a bootstrap over patients.}"
    )
    without = replace(_table(["spd"]), rows=(print_row(("a", "paper"), [1.0], np.nan),))
    assert r"\pm" not in to_latex(without)


def test_the_reader_of_this_test_finds_what_is_bare() -> None:
    good = to_latex(_table(["unet", "spd"]))
    for bad in (good.replace("unet", "u_net"), good.replace("unet", "u}net"), good.replace("unet", "5 %"), good + "$"):
        with pytest.raises(AssertionError):
            _tokens(bad)
    assert len({len(row) for row in _rows(good.replace("unet & ours", "unet & ours & more"))}) == 2
