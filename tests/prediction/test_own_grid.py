"""Written part by part, a volume is the one that is written at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spd_bench.models.inference import DecodedSlices
from spd_bench.planning.grid import masks_on_own_grid, resize_images
from spd_bench.prediction.own_grid import mask_of_parts, write_saliency


@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_mask_from_parts_in_any_order_is_that_of_all_logits(transpose: tuple[int, int, int]) -> None:
    generator = np.random.default_rng(0)
    shape = (9, 21, 13)
    depth = shape[transpose[0]]
    logits = generator.normal(size=(depth, 16, 16)).astype(np.float32)
    left_out = depth // 2
    logits[left_out] = -20
    order = [z for z in generator.permutation(depth).tolist() if z != left_out]
    parts = [
        DecodedSlices(indices=order[i : i + 4], logits=torch.from_numpy(logits[order[i : i + 4]]), points=[])
        for i in range(0, len(order), 4)
    ]
    mask = mask_of_parts(parts, shape=shape, transpose=transpose)
    np.testing.assert_array_equal(mask, masks_on_own_grid(logits, shape=shape, transpose=transpose))
    assert mask.dtype == np.uint8
    assert mask.flags.c_contiguous
    assert mask.any()


def test_a_volume_without_parts_is_empty() -> None:
    assert not mask_of_parts([], shape=(2, 3, 4), transpose=(1, 0, 2)).any()


def test_saliency_from_parts_is_that_of_all_maps() -> None:
    maps = np.random.default_rng(0).random((7, 16, 16), dtype=np.float32)
    saliency = np.full((5, 7, 30), np.nan, np.float32)
    for first in (0, 3, 6):
        write_saliency(saliency, maps[first : first + 3], first=first, transpose=(1, 0, 2))
    np.testing.assert_allclose(saliency, resize_images(maps, (5, 30)).transpose(1, 0, 2), atol=1e-6)
