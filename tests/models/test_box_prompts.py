from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor

from spd_bench.models.boxes import boxes_of_points
from spd_bench.models.medsam import BoxSamNetwork
from spd_bench.models.sam import build_sam
from spd_bench.models.sam_network import SamNetwork

POINTS = [np.array([[3, 9], [20, 5], [11, 30]]), np.array([[40, 41]])]


def test_a_box_is_tight_around_its_points() -> None:
    boxes = boxes_of_points(POINTS, resolution=64, margin=0.0)
    np.testing.assert_array_equal(boxes.numpy(), [[3, 5, 20, 30], [40, 41, 40, 41]])


def test_margin_and_outward_shift_widen_a_box_within_the_image() -> None:
    outward = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 60.0, 0.0]])
    boxes = boxes_of_points(POINTS, resolution=64, margin=4 / 64, outward=outward)
    np.testing.assert_allclose(boxes.numpy(), [[0, 0, 27, 38], [36, 37, 63, 45]])


def test_no_point_gives_no_box() -> None:
    with pytest.raises(ValueError, match="at least one point"):
        boxes_of_points([np.empty((0, 2), int)], resolution=64, margin=0.1)


@pytest.fixture
def network() -> BoxSamNetwork:
    torch.manual_seed(0)
    sam = build_sam("vit_t", resolution=64)
    return BoxSamNetwork(sam=sam, backbone="vit_t", resolution=64, intensity="unit", margin=0.05).eval()


def test_a_box_decodes_as_segment_anything_decodes_it(network: BoxSamNetwork) -> None:
    """SamPredictor with the same embedding: one image, one box, one mask."""
    generator = np.random.default_rng(0)
    images = torch.from_numpy(generator.uniform(-1, 1, (2, 3, 64, 64)).astype(np.float32))
    boxes = torch.tensor([[4.0, 8.0, 40.0, 50.0], [0.0, 0.0, 30.0, 20.0]])
    with torch.inference_mode():
        embeddings = network.encode(images)
        ours = network.decode_boxes(embeddings, boxes)
        predictor = SamPredictor(network.sam)
        predictor.original_size = predictor.input_size = (64, 64)
        predictor.is_image_set = True
        for index in range(2):
            predictor.features = embeddings[index : index + 1]
            theirs, _, _ = predictor.predict_torch(
                None, None, boxes[index : index + 1], multimask_output=False, return_logits=True
            )
            torch.testing.assert_close(ours[index], theirs[0, 0], rtol=1e-4, atol=1e-4)


def test_points_are_decoded_by_their_box(network: BoxSamNetwork) -> None:
    embeddings = torch.randn(2, 128, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network.decode_boxes(embeddings, boxes_of_points(POINTS, resolution=64, margin=0.05))
        torch.testing.assert_close(network.decode(embeddings, POINTS), expected)
        # Where inside the box the other points lie does not matter.
        moved = [np.array([[3, 30], [20, 5]]), POINTS[1]]
        torch.testing.assert_close(network.decode(embeddings, moved), expected)


def test_boxes_move_outward_in_training_alone(network: BoxSamNetwork) -> None:
    embeddings = torch.randn(2, 128, 8, 8, generator=torch.Generator().manual_seed(0))
    network.train()
    with torch.no_grad():
        torch.manual_seed(1)
        first = network.decode(embeddings, POINTS)
        torch.manual_seed(2)
        assert not torch.equal(first, network.decode(embeddings, POINTS))
        torch.manual_seed(1)
        assert torch.equal(first, network.decode(embeddings, POINTS))


def test_boxes_of_another_shape_are_refused(network: SamNetwork) -> None:
    with pytest.raises(ValueError, match=r"boxes must have shape \(2, 4\)"):
        network.decode_boxes(torch.zeros(2, 128, 8, 8), torch.zeros(1, 4))
