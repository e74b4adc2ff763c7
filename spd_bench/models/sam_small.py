"""``sam_small``: a promptable SAM of at most 4 million parameters, for a CPU and without a download."""

from __future__ import annotations

from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from spd_bench.models.sam_small_encoder import STRIDE, SmallImageEncoder

RESOLUTION_STEP = 32
"""A resolution must be a multiple of this many pixels."""

_WIDTH = 128
_MLP_WIDTH = 512


def build_sam_small(*, resolution: int) -> Sam:
    """A ``sam_small`` with random weights for square images of one size.

    The encoder is ours (:class:`~spd_bench.models.sam_small_encoder.SmallImageEncoder`); the prompt encoder and the
    two-way mask decoder are SAM's own, 128 channels wide. Images are expected in [-1, 1]. The embedding has shape
    (128, R / 8, R / 8) and the mask logits R / 2. No parameter's shape depends on the resolution, so one file of
    weights fits all.

    Args:
        resolution: R, side of the input images in pixels, a multiple of 32.

    Returns:
        The model, in evaluation mode.

    Raises:
        ValueError: the resolution is not a positive multiple of 32.
    """
    if resolution < 1 or resolution % RESOLUTION_STEP:
        msg = f"resolution must be a positive multiple of {RESOLUTION_STEP}, got {resolution}"
        raise ValueError(msg)
    grid = resolution // STRIDE
    sam = Sam(
        image_encoder=SmallImageEncoder(img_size=resolution, out_chans=_WIDTH),
        prompt_encoder=PromptEncoder(
            embed_dim=_WIDTH,
            image_embedding_size=(grid, grid),
            input_image_size=(resolution, resolution),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=_WIDTH,
            transformer=TwoWayTransformer(depth=2, embedding_dim=_WIDTH, num_heads=8, mlp_dim=_MLP_WIDTH),
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=_WIDTH,
        ),
    )
    return sam.eval()
