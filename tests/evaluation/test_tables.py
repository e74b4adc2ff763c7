from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spd_bench.evaluation.frames import SLICE_COLUMNS, read_frame, write_frame
from spd_bench.evaluation.rules import ScoringRules
from spd_bench.evaluation.significance import paired_comparisons
from spd_bench.evaluation.summary import summarise
from spd_bench.evaluation.tables import DiceTable, build_table, print_table, write_tables

SHA = "0123456789abcdef" * 4
PAPER = {"TI": {"unet": 28.64, "sam_refiner": 39.08, "spd": 46.42}}
TITLES = {"spd": "SPD", "unet": "U-Net"}


def _frames(scores: dict[tuple[str, str], list[float]]) -> dict[str, pd.DataFrame]:
    """Frames whose volumes and foreground slices have the given Dice; each volume also has one silent empty slice."""
    slices, volumes = [], []
    for (dataset, method), dices in scores.items():
        for number, dice in enumerate(dices):
            key = {"dataset": dataset, "method": method, "fold": 0, "case": f"c{number}"}
            rest = {"iou": dice, "hd95_mm": np.nan, "asd_mm": np.nan}
            slices.append({**key, "slice": 0, "dice": dice, **rest, "reference_pixels": 9, "prediction_pixels": 9})
            slices.append({**key, "slice": 1, "dice": 1.0, **rest, "reference_pixels": 0, "prediction_pixels": 0})
            volumes.append({**key, "volumetric_dice": dice, "average_dice": 0.5 + dice / 2})
            volumes[-1] |= {"slices": 2, "foreground_slices": 1}
    frames = pd.DataFrame(slices)[list(SLICE_COLUMNS)], pd.DataFrame(volumes)
    return {"slices": frames[0], "volumes": frames[1], "summary": summarise(*frames)}


def _record(**changes: Any) -> dict[str, Any]:
    record = {
        "method": "spd",
        "dataset": "TI",
        "fold": 0,
        "seed": 0,
        "epochs": 10,
        "images_seen": 1200,
        "weights": {"name": "sam_vit_b", "sha256": SHA},
        "hashes": {"plan": SHA, "splits": SHA, "prompts": SHA},
        "prompts": {"simulated": True, "severity": 1.0},
        "status": "finished",
    }
    return {**record, **changes}


SCORES = {
    ("TI", "spd"): [0.5, 0.6],
    ("TI", "unet"): [0.3, 0.4],
    ("SCAR", "unet"): [0.25, 0.5],
}
RECORDS = [
    _record(missing_predictions=["c1"]),
    _record(fold=1, missing_predictions=[]),
    _record(method="unet", weights={"name": "random", "sha256": None}, hashes={"prompts": None}, images_seen=900),
]


def _table(metric: str = "volumetric_dice", **changes: Any) -> DiceTable:
    arguments = {**_frames(SCORES), "records": RECORDS, "paper": PAPER, **changes}
    return build_table(metric, **arguments)


def test_csv_has_datasets_as_rows_methods_as_columns_and_the_papers_row(tmp_path: Path) -> None:
    write_tables(tmp_path, [_table()], TITLES)
    assert (tmp_path / "table_volumetric_dice.csv").read_text().splitlines() == [
        "dataset,source,U-Net,sam_refiner,SPD,SPD - best other",
        "TI,ours,35.00,-,55.00,+20.00",
        "TI,paper,28.64,39.08,46.42,+7.34",
        "SCAR,ours,37.50,-,-,-",
    ]


def test_markdown_marks_the_best_and_states_what_the_numbers_stand_on(tmp_path: Path) -> None:
    write_tables(tmp_path, [_table(notes=["Measured on phantoms."])], TITLES)
    lines = (tmp_path / "table_volumetric_dice.md").read_text().splitlines()
    assert lines[2:7] == [
        "| dataset | source | U-Net | sam_refiner | SPD | SPD - best other |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| TI | ours | 35.00 ± 5.00 | - | **55.00** ± 5.00 | +20.00 |",
        "| TI | paper | 28.64 | 39.08 | **46.42** | +7.34 |",
        "| SCAR | ours | 37.50 ± 12.50 | - | - | - |",
    ]
    assert "HD95 is the 95th percentile of both directed sets of surface distances pooled" in lines[10]
    assert lines[11:] == [
        "- TI: f = 0.5000, 2 volumes, 4 slices",
        "  - spd: foreground-slice Dice 55.00 %; specificity 100.00 %; missing predictions 1;"
        " weights sam_vit_b (sha256 0123456789ab); prompts sha256 0123456789ab (severity 1.0); images seen a run 1200;"
        " epochs 10; seed 0; folds 0, 1; status finished",
        "  - unet: foreground-slice Dice 35.00 %; specificity 100.00 %; missing predictions not recorded;"
        " weights random, from scratch; prompts none; images seen a run 900; epochs 10; seed 0;"
        " folds 0; status finished",
        "- SCAR: f = 0.5000, 2 volumes, 4 slices",
        "  - unet: foreground-slice Dice 37.50 %; specificity 100.00 %; missing predictions not recorded;"
        " no run record",
        "- Measured on phantoms.",
    ]
    assert "exactly one empty mask scores 0" in lines[8]


def test_latex_uses_booktabs_and_escapes_names(tmp_path: Path) -> None:
    write_tables(tmp_path, [_table(notes=[r"100 % of A&B_1 #2 \ ~ ^ {x} $"])])
    text = (tmp_path / "table_volumetric_dice.tex").read_text()
    assert r"dataset & source & unet & sam\_refiner & spd & spd - best other \\" in text
    spread = r" {\scriptsize$\pm$ 5.00}"
    assert rf"TI & ours & 35.00{spread} & - & \textbf{{55.00}}{spread} & +20.00 \\" in text
    assert r"TI & paper & 28.64 & 39.08 & \textbf{46.42} & +7.34 \\" in text
    assert r"\begin{tabular}{llrrrr}" in text
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1
    escaped = r"100 \% of A\&B\_1 \#2 \textbackslash{} \textasciitilde{} \textasciicircum{} \{x\} \$"
    assert escaped in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_the_interval_of_a_number_is_that_of_the_summary() -> None:
    frames = _frames({("TI", "unet"): [0.1, 0.2, 0.7], ("TI", "spd"): [0.4]})
    table = _table(**frames)
    row = frames["summary"].query("method == 'unet' and metric == 'volumetric_dice'").iloc[0]
    assert table.spreads["TI", "unet"] == pytest.approx(50 * (row["ci_high"] - row["ci_low"]))
    ours, paper = print_table(table).rows
    assert [cell.spread for cell in ours.cells] == [f"{table.spreads['TI', 'unet']:.2f}", "", ""]
    assert [cell.spread for cell in paper.cells] == ["", "", ""]


def test_average_table_shows_the_average_dice() -> None:
    cells = _table("average_dice", paper=None).cells
    assert cells.loc[("TI", "ours")].tolist() == pytest.approx([67.5, 77.5])
    assert list(cells.columns) == ["unet", "spd"]
    assert "paper" not in cells.index.get_level_values("source")


def test_lead_is_the_difference_of_the_printed_numbers() -> None:
    frames = _frames({("TI", "unet"): [0.100049], ("TI", "spd"): [0.200051]})
    table = _table(**frames, paper=None)
    row = print_table(table).rows[0]
    assert [cell.text for cell in row.cells] == ["10.00", "20.01"]
    assert row.lead == "+10.01"


def test_negative_lead_and_ties() -> None:
    frames = _frames({("TI", "unet"): [0.5], ("TI", "msa"): [0.500001], ("TI", "spd"): [0.25]})
    row = print_table(_table(**frames, paper=None)).rows[0]
    assert [cell.best for cell in row.cells] == [True, True, False]
    assert row.lead == "-25.00"


def test_a_table_without_spd_has_no_lead() -> None:
    frames = _frames({("TI", "unet"): [0.5], ("TI", "msa"): [0.4]})
    assert [row.lead for row in print_table(_table(**frames, paper=None)).rows] == ["-"]


def test_a_score_of_zero_is_zero_and_not_a_missing_number() -> None:
    frames = _frames({("TI", "unet"): [0.0], ("TI", "spd"): [0.0]})
    assert [cell.text for cell in print_table(_table(**frames, paper=None)).rows[0].cells] == ["0.00", "0.00"]


def test_methods_scored_on_different_slices_are_told() -> None:
    frames = _frames({("TI", "unet"): [0.5], ("TI", "spd"): [0.5, 0.4]})
    texts = [line.text for line in _table(**frames).statement]
    assert "TI: methods were scored on different slices" in texts
    assert any(text.startswith("unet: f = 0.5000, 1 volumes, 2 slices;") for text in texts)


def test_folds_that_differ_are_all_named() -> None:
    records = [_record(), _record(fold=1, seed=7, weights="random", hashes={}, status="failed")]
    (line,) = [line.text for line in _table(records=records).statement if line.text.startswith("spd:")]
    assert "weights sam_vit_b (sha256 0123456789ab), random, from scratch;" in line
    assert "prompts sha256 0123456789ab (severity 1.0), not recorded;" in line
    assert "seed 0, 7; folds 0, 1; status finished, failed" in line


def test_every_format_of_every_table_is_written_and_nothing_else(tmp_path: Path) -> None:
    written = write_tables(tmp_path, [_table("average_dice"), _table()])
    names = {
        f"table_{metric}.{suffix}" for metric in ("average_dice", "volumetric_dice") for suffix in ("csv", "md", "tex")
    }
    assert {path.name for path in written} == names == {path.name for path in tmp_path.iterdir()}


def test_tables_can_be_rebuilt_from_the_files(tmp_path: Path) -> None:
    frames = _frames(SCORES)
    for name, frame in frames.items():
        write_frame(tmp_path / f"{name}.csv", frame)
    read = {name: read_frame(tmp_path / f"{name}.csv") for name in frames}
    records = json.loads(json.dumps(RECORDS))
    assert print_table(_table(**read, records=records)) == print_table(_table())


def test_marks_stand_behind_our_numbers_and_are_explained(tmp_path: Path) -> None:
    better = [0.3 + 0.01 * number for number in range(12)]
    frames = _frames({("TI", "spd"): [dice + 0.2 for dice in better], ("TI", "unet"): better})
    significance = paired_comparisons(frames["slices"], frames["volumes"])
    tables = [_table(metric, **frames, significance=significance) for metric in ("volumetric_dice", "average_dice")]
    write_tables(tmp_path, tables)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert r"| TI | ours | 35.50 ± 1.92 | - | **55.50**\* ± 1.92 | +20.00 |" in written["table_volumetric_dice.md"]
    assert "| TI | paper | 28.64 | 39.08 | **46.42** | +7.34 |" in written["table_volumetric_dice.md"]
    assert r"**77.75**\*† ± 0.96 | +10.00 |" in written["table_average_dice.md"]
    assert r"\textbf{77.75}\textsuperscript{{*}$\dagger$} {\scriptsize$\pm$ " in written["table_average_dice.tex"]
    assert "TI,ours,35.50,-,55.50,+20.00" in written["table_volumetric_dice.csv"]
    assert '- The mark "*": better than every other method' in written["table_volumetric_dice.md"]


def test_the_rules_of_the_scores_are_stated() -> None:
    texts = [line.text for line in _table(rules=ScoringRules.named(empty_policy="nnunet", hd95="max")).statement]
    assert texts[0].startswith("nnU-Net's rule for empty masks")
    assert texts[2].startswith("HD95 is the larger of")


def test_a_note_of_several_lines_is_one_line() -> None:
    assert _table(notes=["Scans of\n\n two  sites.\n"]).statement[-1].text == "Scans of two sites."


def test_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="no table of 'hd95_mm'"):
        _table("hd95_mm")


def test_a_row_without_a_network_has_no_weights_to_name(tmp_path: Path) -> None:
    records = [_record(method="unet", weights={"name": "none", "sha256": None}, hashes={"prompts": None})]
    write_tables(tmp_path, [_table(records=records)])
    text = (tmp_path / "table_volumetric_dice.md").read_text()
    assert "; weights none; prompts none;" in text
