from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spd_bench.errors import InputError
from spd_bench.evaluation.frames import SLICE_COLUMNS, VOLUME_COLUMNS, read_frame, write_frame


def _slices() -> pd.DataFrame:
    rows = [
        ("NA", "spd", 0, "007", 0, 0.1 + 0.2, 1 / 3, np.nan, np.nan, 4, 0),
        ("NA", "spd", 0, "null", 1, 1, 1, 2.5, 1, 4, 5),
    ]
    return pd.DataFrame(rows, columns=list(SLICE_COLUMNS))


def test_frame_survives_the_file_bit_by_bit(tmp_path: Path) -> None:
    write_frame(tmp_path / "slices.csv", _slices())
    pd.testing.assert_frame_equal(read_frame(tmp_path / "slices.csv"), _slices(), check_exact=True, check_dtype=False)
    assert read_frame(tmp_path / "slices.csv")["case"].tolist() == ["007", "null"]


def test_volumes_of_an_older_file_stand_beside_newer_ones(tmp_path: Path) -> None:
    new = pd.DataFrame([("TI", "spd", 0, "a", *[0.5] * 8, 3, 2, *[0.5] * 3)], columns=list(VOLUME_COLUMNS))
    new = new.astype({"slices": int, "foreground_slices": int})
    for folder, frame in (("new", new), ("old", new[list(VOLUME_COLUMNS[:8])])):
        write_frame(tmp_path / folder / "volumes.csv", frame)
    both = pd.concat([read_frame(tmp_path / name / "volumes.csv") for name in ("old", "new")])
    write_frame(tmp_path / "volumes.csv", both)
    assert (tmp_path / "volumes.csv").read_text().splitlines()[1:] == [
        "TI,spd,0,a,0.5,0.5,0,0,,,,,,,,,",
        "TI,spd,0,a,0.5,0.5,0,0,0.5,0.5,0.5,0.5,3,2,0.5,0.5,0.5",
    ]
    assert read_frame(tmp_path / "volumes.csv")["reference_lesions"].tolist() == [pd.NA, 3]


def test_wrong_columns_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"slices\.csv has the columns"):
        write_frame(tmp_path / "slices.csv", _slices().drop(columns="dice"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "file not found"),
        (b"", "not readable as CSV"),
        (b"\xff\xfe\x00", "not readable as CSV"),
        (b"a,b\n1,2\n", "columns"),
        ((",".join(SLICE_COLUMNS) + "\nTI,spd,0,a,0,x,1,1,1,4,5\n").encode(), "not a table of results"),
        ((",".join(SLICE_COLUMNS) + "\nTI,spd,,a,0,1,1,1,1,4,5\n").encode(), "not a table of results"),
    ],
)
def test_unreadable_file_is_named(tmp_path: Path, content: bytes | None, fault: str) -> None:
    if content is not None:
        (tmp_path / "slices.csv").write_bytes(content)
    with pytest.raises(InputError, match=rf"{fault}.*slices\.csv"):
        read_frame(tmp_path / "slices.csv")
