from pathlib import Path

import pytest

from spd_bench.errors import InputError
from spd_bench.raw.release.cases import check_source


def test_a_release_is_a_folder_that_exists(tmp_path: Path) -> None:
    check_source(tmp_path)
    (tmp_path / "release.zip").write_bytes(b"")
    for name in ("gone", "release.zip"):
        with pytest.raises(InputError, match=rf"no such folder, in .*{name}: give the folder"):
            check_source(tmp_path / name)
