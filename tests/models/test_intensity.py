from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry

from spd_bench.models.intensity import INTENSITIES, IntensityMap

IMAGES = torch.linspace(-1, 1, 3 * 4 * 5).reshape(1, 3, 4, 5)


def test_symmetric_leaves_slices_as_they_are() -> None:
    torch.testing.assert_close(IntensityMap("symmetric")(IMAGES), IMAGES)


def test_unit_maps_to_zero_and_one() -> None:
    mapped = IntensityMap("unit")(IMAGES)
    assert (mapped.min(), mapped.max()) == (0, 1)


def test_imagenet_is_sams_own_normalisation_of_grey_values() -> None:
    """Grey values 0..255 normalised with the mean and deviation that segment_anything carries."""
    sam = sam_model_registry["vit_b"]
    values = {}
    for name in ("pixel_mean", "pixel_std"):
        # The registry's builder is not called: it would make 94 M parameters for six numbers.
        defaults = sam.__globals__["Sam"].__init__.__defaults__
        values[name] = np.asarray(defaults[0 if name == "pixel_mean" else 1]).reshape(1, 3, 1, 1)
    grey = (IMAGES.numpy() + 1) * 127.5
    expected = (grey - values["pixel_mean"]) / values["pixel_std"]
    np.testing.assert_allclose(IntensityMap("imagenet")(IMAGES).numpy(), expected, atol=2e-3)


@pytest.mark.parametrize("name", INTENSITIES)
def test_an_intensity_map_adds_nothing_to_a_checkpoint(name: str) -> None:
    assert not IntensityMap(name).state_dict()


def test_an_unknown_intensity_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="symmetric, unit, imagenet"):
        IntensityMap("odd")
