from __future__ import annotations

import numpy as np
import torch

from spd_bench.models.one_click import OneClickSamNetwork, middle_point
from spd_bench.models.sam import build_sam
from spd_bench.models.sam_network import SamNetwork


def test_the_middle_point_is_the_nearest_to_the_mean() -> None:
    points = np.array([[0, 0], [10, 0], [4, 2], [0, 10]])
    assert middle_point(points).tolist() == [[4, 2]]
    assert middle_point(points[:1]).tolist() == [[0, 0]]
    assert middle_point(points[[0, 1]]).tolist() == [[0, 0]]
    assert middle_point(points[:0]).shape == (0, 2)


def test_a_slice_is_decoded_from_its_middle_point_alone() -> None:
    torch.manual_seed(0)
    sam = build_sam("vit_t", resolution=32)
    one = OneClickSamNetwork(sam=sam, backbone="vit_t", resolution=32).eval()
    every = SamNetwork(sam=sam, backbone="vit_t", resolution=32).eval()
    images = torch.rand((3, 3, 32, 32)) * 2 - 1
    points = [np.array([[1, 2], [30, 20], [14, 12]]), np.array([[7, 9]]), np.empty((0, 2), int)]
    with torch.inference_mode():
        expected = every(images, [np.array([[14, 12]]), points[1], points[2]])
        torch.testing.assert_close(one(images, points), expected)
        assert not torch.allclose(every(images, points)[0], expected[0])
