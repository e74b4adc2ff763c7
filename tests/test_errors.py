from __future__ import annotations

import pytest

from spd_bench.errors import InputError


@pytest.mark.parametrize("odd", ["a\nb", "a\x1b[2Jb", "a\0b", "a\ud800b", "a\u2028b", "a\u202eb"])
def test_the_text_is_one_line_of_letters_that_can_be_printed(odd: str) -> None:
    text = str(InputError(f"value {odd}", file="f", remedy="mend it"))
    assert text.isprintable()
    assert text.endswith(", in f: mend it")


def test_a_very_long_value_does_not_hide_file_and_remedy() -> None:
    text = str(InputError("a" * 10**6, file="f", remedy="mend it"))
    assert len(text) < 1100
    assert text.endswith(" ..., in f: mend it")
