"""Our image encoder against segment_anything's and transformers', with the same random weights, in one run.

    python -m benchmarks.encoder --backbone vit_b --resolution 512 --profile
    python -m benchmarks.encoder --device cuda --dtype bfloat16 --batch-size 16 --compile

The first row is segment_anything as its predictor runs it: one image at a time, in float32. Differences are those of
the first image's embedding to that row's; its standard deviation is 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.measuring import benchmark_parser, prepare, report, seconds_in_turn, speed_ratio
from benchmarks.sam_peers import stock_sam, transformers_sam
from spd_bench.models.sam import VIT_CONFIGS, build_sam

_CLAIM = (
    "Our encoder gives segment_anything's embeddings (1e-4 in float32) at >= 1.3 x its speed on a CPU at 512, "
    "and at >= 3 x on a GPU with bfloat16, batches and torch.compile."
)
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_PUBLISHED, _STOCK, _TRANSFORMERS, _OURS = (
    "segment_anything, float32, one by one",
    "segment_anything",
    "transformers",
    "ours",
)
_TOP = 12

Variants = dict[str, Callable[[], Tensor]]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure speed and differences, and where the time goes if asked."""
    arguments = _arguments(argv)
    prepare(arguments)
    variants = _variants(arguments)
    with torch.inference_mode():
        expected = variants[_PUBLISHED]()[0].float()
        differences = {name: float((body()[0].float() - expected).abs().max()) for name, body in variants.items()}
        seconds = seconds_in_turn(variants, repeats=arguments.repeats, device=arguments.device)
        shares = _profiles(variants, arguments.device) if arguments.profile else {}
    others = [name for name in variants if name != _OURS]
    report(
        "encoder",
        claim=_CLAIM,
        rows=[
            {
                "encoder": name,
                "images/s": arguments.batch_size / min(seconds[name]),
                "ours is as fast x": str(speed_ratio(seconds, _OURS, name)) if name in others else "",
                "max difference": differences[name],
            }
            for name in variants
        ],
        arguments=arguments,
        **{
            f"ours_against_{name.replace(',', '').replace(' ', '_')}": speed_ratio(seconds, _OURS, name)
            for name in others
        },
        **shares,
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = benchmark_parser(__doc__, repeats=3)
    parser.add_argument("--backbone", choices=VIT_CONFIGS, default="vit_b", help="sizes of the encoder (vit_b)")
    parser.add_argument("--resolution", type=int, default=512, help="side of the images in pixels (512)")
    parser.add_argument("--batch-size", type=int, default=1, help="images at a time (1)")
    parser.add_argument("--dtype", choices=_DTYPES, default="float32", help="of autocast (float32: none)")
    parser.add_argument("--compile", action="store_true", help="compile our encoder")
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    return parser.parse_args(argv)


def _variants(arguments: argparse.Namespace) -> Variants:
    """What is measured: each encodes the same images (B, 3, R, R)."""
    sizes = {"backbone": arguments.backbone, "resolution": arguments.resolution}
    sam = _random_sam(**sizes).to(arguments.device)
    stock: nn.Module = stock_sam(sam, **sizes).image_encoder.to(arguments.device)
    peer: nn.Module = transformers_sam(sam, **sizes).vision_encoder.to(arguments.device)
    ours: Callable[[Tensor], Tensor] = torch.compile(sam.image_encoder) if arguments.compile else sam.image_encoder
    side = arguments.resolution
    images = torch.rand((arguments.batch_size, 3, side, side), device=arguments.device) * 2 - 1
    encode = partial(_encode, images=images, dtype=_DTYPES[arguments.dtype])
    variants: Variants = {_PUBLISHED: partial(_one_by_one, stock, images)}
    if arguments.batch_size > 1 or arguments.dtype != "float32":
        variants[_STOCK] = partial(encode, stock)
    return variants | {
        _TRANSFORMERS: partial(encode, lambda batch: peer(batch).last_hidden_state),
        _OURS: partial(encode, ours),
    }


def _random_sam(*, backbone: str, resolution: int) -> Sam:
    """Random weights whose position tables, which SAM starts at zero, are random too."""
    sam = build_sam(backbone, resolution=resolution)
    for name, parameter in sam.image_encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            nn.init.normal_(parameter, std=0.1)
    return sam


def _encode(encoder: Callable[[Tensor], Tensor], *, images: Tensor, dtype: torch.dtype) -> Tensor:
    with torch.autocast(images.device.type, dtype=dtype, enabled=dtype != torch.float32):
        return encoder(images)


def _one_by_one(encoder: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([encoder(image[None]) for image in images])


def _profiles(variants: Mapping[str, Callable[[], Tensor]], device: torch.device) -> dict[str, Any]:
    """Percent of the time of the operators that take most, of the published encoder and of ours."""
    return {f"percent_of_time_in_{name}": _top_operators(variants[name], device) for name in (_PUBLISHED, _OURS)}


def _top_operators(body: Callable[[], Tensor], device: torch.device) -> dict[str, float]:
    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as record:
        body()
    attribute = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    times = {event.key: float(getattr(event, attribute)) for event in record.key_averages()}
    total = sum(times.values())
    top = sorted(times, key=lambda name: -times[name])[:_TOP]
    return {name: round(100 * times[name] / total, 1) for name in top}


if __name__ == "__main__":
    main()
