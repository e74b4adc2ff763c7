"""The U-Net of the comparison: one fixed plan, the same for every dataset."""

from __future__ import annotations

from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

_MAX_FEATURES = 512


def build_unet(*, in_channels: int, base_features: int = 32, stages: int = 5) -> nn.Module:
    """A 2D U-Net with two 3x3 convolutions at each stage and one output channel.

    Ronneberger et al., "U-Net", MICCAI 2015, with instance normalisation and leaky ReLU as in nnU-Net
    (https://github.com/MIC-DKFZ/dynamic-network-architectures). No deep supervision.

    Args:
        in_channels: channels of the input (B, in_channels, H, W); H and W must be multiples of 2 ** (stages - 1).
        base_features: channels of the first stage; they double with each stage up to 512.
        stages: number of resolutions, at least 2.

    Returns:
        A module from images to logits of shape (B, 1, H, W), its weights He-initialised.

    Raises:
        ValueError: a setting is out of range.
    """
    for name, value, least in (
        ("in_channels", in_channels, 1),
        ("base_features", base_features, 1),
        ("stages", stages, 2),
    ):
        if value < least:
            msg = f"{name} must be at least {least}, got {value}"
            raise ValueError(msg)
    network = PlainConvUNet(
        input_channels=in_channels,
        n_stages=stages,
        features_per_stage=[min(base_features * 2**stage, _MAX_FEATURES) for stage in range(stages)],
        conv_op=nn.Conv2d,
        kernel_sizes=3,
        strides=[1] + [2] * (stages - 1),
        n_conv_per_stage=2,
        num_classes=1,
        n_conv_per_stage_decoder=2,
        conv_bias=True,
        norm_op=nn.InstanceNorm2d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=False,
    )
    # The package builds the heads of deep supervision even without it; they would never get a gradient, which
    # distributed training refuses.
    network.decoder.seg_layers = network.decoder.seg_layers[-1:]
    network.apply(network.initialize)
    return network
