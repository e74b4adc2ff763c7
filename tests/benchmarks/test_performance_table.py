"""The README's table of ratios is the one that the kept results give."""

from __future__ import annotations

from pathlib import Path

from benchmarks.measuring import RESULTS
from benchmarks.summary import summary_table
from spd_bench.storage import write_json

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_shows_the_kept_ratios() -> None:
    table = summary_table(RESULTS)
    assert len(table.splitlines()) > 4
    assert table in README.read_text(encoding="utf-8")


def test_figures_that_are_no_ratios_are_left_out(tmp_path: Path) -> None:
    figures = {"ours_against_theirs": {"median": 2.0, "low": 1.5, "high": 2.25}, "share": {"encoder": 0.9}, "mb": 3}
    machine = {"gpu": None, "torch_threads": 2}
    write_json(tmp_path / "some_thing_cpu.json", {"figures": figures, "machine": machine})
    assert summary_table(tmp_path).splitlines()[2:] == [
        "| `some_thing` | ours against theirs | **2.00** (1.50 to 2.25) | CPU, torch threads: 2 |"
    ]
