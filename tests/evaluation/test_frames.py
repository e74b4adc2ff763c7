from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spd_bench.errors import InputError
from spd_bench.evaluation.frames import SLICE_COLUMNS, read_frame, write_frame


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
