"""The harness finds the faults that were planted, keeps their inputs and goes on."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from benchmarks import fuzz
from benchmarks.fuzzing import watching
from benchmarks.fuzzing.watching import Campaign
from spd_bench.storage import read_json

NEEDS_ATHERIS = pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris")


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def _run(findings: Path, reader: str, *, engine: str = "hypothesis", inputs: int = 4) -> dict[str, Any]:
    campaign = Campaign(
        reader=reader, engine=engine, inputs=inputs, seed=0, findings=findings, registry="planted_readers"
    )
    row = campaign.run()
    assert row["accepted"] + row["refused"] + row["crashes"] + row["hangs"] == row["inputs"]
    return row


@pytest.mark.parametrize(
    ("reader", "kind", "told"),
    [
        ("raises", "crashes", "ValueError: planted"),
        ("hides", "crashes", "which file?"),
        ("swallows", "crashes", "MemoryError"),
        ("dies", "crashes", "Segmentation fault"),
        ("sleeps", "hangs", "time.sleep"),
        ("stands_still", "hangs", ""),
    ],
)
def test_a_planted_fault_is_counted_and_its_input_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, kind: str, told: str
) -> None:
    monkeypatch.setattr(watching, "PATIENCE", 4.0)
    row = _run(tmp_path, reader, inputs=2)
    assert row[kind] > 0
    (kept,) = tmp_path.glob("*.input")
    assert kept.name.startswith(f"{reader}-")
    assert kept.read_bytes() == b"bad"
    assert told in kept.with_suffix(".txt").read_text()


def test_progress_is_told_to_the_last_input(tmp_path: Path) -> None:
    told: list[int] = []
    campaign = Campaign(
        reader="text", engine="hypothesis", inputs=50, seed=1, findings=tmp_path, registry="planted_readers"
    )
    row = campaign.run(told.append)
    assert sum(told) == row["inputs"] == 50
    assert row["crashes"] == row["hangs"] == 0
    assert not list(tmp_path.iterdir())


def test_a_process_that_does_not_begin_is_a_fault_of_ours(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="KeyError: 'unknown'"):
        _run(tmp_path, "unknown")


@NEEDS_ATHERIS
def test_atheris_gives_a_reader_as_many_inputs_as_were_asked_for(tmp_path: Path) -> None:
    row = _run(tmp_path, "text", engine="atheris", inputs=400)
    assert row["inputs"] == 400
    assert row["accepted"] > 10
    assert row["refused"] > 10
    assert row["crashes"] == row["hangs"] == 0


@NEEDS_ATHERIS
def test_atheris_goes_on_after_a_death(tmp_path: Path) -> None:
    row = _run(tmp_path, "dies", engine="atheris", inputs=3)
    assert row["crashes"] > 0
    assert [path.read_bytes() for path in tmp_path.glob("*.input")] == [b"bad"]


@pytest.mark.parametrize("failed", [0, 1])
def test_the_command_writes_its_rows_and_its_status_tells_of_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failed: int
) -> None:
    asked: list[Campaign] = []

    def run(campaigns: list[Campaign], *, jobs: int) -> list[dict[str, Any]]:
        asked.extend(campaigns)
        return [{"reader": "text", "crashes": failed, "hangs": 0}]

    monkeypatch.setattr(fuzz, "run_campaigns", run)
    monkeypatch.setattr(fuzz, "_has_atheris", lambda: False)
    arguments = ["--work", str(tmp_path), "--readers", "text", "--hypothesis", "7", "-o", str(tmp_path / "out")]
    if failed:
        with pytest.raises(SystemExit, match="1"):
            fuzz.main(arguments)
    else:
        fuzz.main(arguments)
    assert [(campaign.engine, campaign.inputs) for campaign in asked] == [("hypothesis", 7)]
    assert "hypothesis fuzzes alone" in capsys.readouterr().out
    assert read_json(tmp_path / "out" / "fuzz.json")["rows"][0]["crashes"] == failed
