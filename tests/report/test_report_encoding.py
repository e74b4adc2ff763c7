from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from spd_bench.report.encoding import jpeg_text, mask_of_runs, pixels_of_jpeg, run_lengths, script_json


@given(arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_run_lengths_give_the_mask_back(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(mask_of_runs(run_lengths(mask), mask.shape), mask)


@pytest.mark.parametrize(
    ("mask", "runs"),
    [
        ([[0, 0], [0, 0]], ""),
        ([[1, 1], [1, 1]], "0 4"),
        ([[0, 1], [1, 0]], "1 2"),
        ([[1, 0], [0, 1]], "0 1 2 1"),
    ],
)
def test_runs_start_with_pixels_off_and_end_with_pixels_on(mask: list[list[int]], runs: str) -> None:
    assert run_lengths(np.array(mask, bool)) == runs


def test_grey_levels_survive_jpeg_nearly() -> None:
    pixels = np.linspace(0, 255, 32 * 24).reshape(24, 32).astype(np.uint8)
    back = pixels_of_jpeg(jpeg_text(pixels, quality=90))
    assert back.shape == pixels.shape
    assert np.abs(back.astype(int) - pixels).max() < 16


def test_a_lower_quality_takes_fewer_bytes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    assert len(jpeg_text(pixels, quality=30)) < len(jpeg_text(pixels, quality=80))


@given(st.text() | st.lists(st.sampled_from(["</", "<!--", "<script", "</script>", "a"])).map("".join))
def test_no_text_ends_or_opens_anything_inside_a_script(text: str) -> None:
    written = script_json({text: text})
    assert json.loads(written) == {text: text}
    assert "</" not in written
    assert "<!--" not in written
    assert written.isascii()


def test_what_is_no_number_in_json_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        script_json([float("nan")])
