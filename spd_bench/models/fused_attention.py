"""Attention of SAM's image encoder through ``scaled_dot_product_attention``, without projecting padding.

segment_anything (https://github.com/facebookresearch/segment-anything) fills windows up with zeros, projects all
tokens, and holds every attention map in memory. Here the same numbers come from PyTorch's fused kernels. The relative
positions, a term for the key's row and one for its column (Li et al., "MViTv2", CVPR 2022), are either further
components of queries and keys, or masks small enough for a processor's cache. Padded tokens all have the same query,
key and value, which are computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from segment_anything.modeling.image_encoder import Attention
from torch import Tensor, nn
from torch.nn import functional

_MASK_ELEMENTS = 2**22
"""Elements of the masks at a time, where there is a choice: 16 MB, which a processor's cache may hold."""

_ELEMENTS_WORTH_A_CALL = 2**18
"""Elements of attention maps that take a CPU as long as preparing one more call of the kernels does, and longer."""

Size = tuple[int, int]


class FusedAttention(nn.Module):
    """The attention of a block, over whole images or within windows.

    It holds the given attention's own layers and tables under their names. Unlike segment_anything's it cuts the
    windows itself.

    Args:
        attention: the attention whose layers are taken over.
        window_size: side of the windows in tokens; 0 attends over the whole image.
    """

    def __init__(self, attention: Attention, *, window_size: int) -> None:
        super().__init__()
        self.window_size = window_size
        self.num_heads: int = attention.num_heads
        self.scale: float = attention.scale
        self.use_rel_pos: bool = attention.use_rel_pos
        if self.use_rel_pos:
            self.rel_pos_h: nn.Parameter = attention.rel_pos_h
            self.rel_pos_w: nn.Parameter = attention.rel_pos_w
        self.qkv, self.proj = attention.qkv, attention.proj

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, H, W, D) -> the same shape."""
        H, W = tokens.shape[1:3]
        window = (self.window_size or H, self.window_size or W)
        windows = _partition(self._project(tokens, window), window, self.num_heads)
        tables = self._tables(window, like=windows)
        crop = _is_cropping_faster(windows, real_tokens=H * W)
        rows, columns = _spans(H, window[0], crop), _spans(W, window[1], crop)
        strips = [_join([self._attend(windows[:, :, i, j], (h, w), tables) for j, w in columns], 2) for i, h in rows]
        return cast(Tensor, self.proj(_join(strips, 1)[:, :H, :W]))

    def _project(self, tokens: Tensor, window: Size) -> Tensor:
        """Tokens (B, H, W, D) -> queries, keys and values (B, H', W', 3 D) of whole windows."""
        qkv = cast(Tensor, self.qkv(tokens))
        B, H, W, D = tokens.shape
        below, beside = -H % window[0], -W % window[1]
        if below or beside:
            # A layer may be adapted in any way, so its own answer to zeros is taken rather than its bias.
            padding = self.qkv(tokens.new_zeros(D))
            qkv = torch.cat((qkv, padding.expand(B, H, beside, -1)), 2)
            qkv = torch.cat((qkv, padding.expand(B, below, W + beside, -1)), 1)
        return qkv

    def _tables(self, window: Size, *, like: Tensor) -> list[Tensor]:
        """The relative positions of each query's to each key's row (H, C, H) and column (W, C, W)."""
        if not self.use_rel_pos:
            return [like.new_zeros((side, like.shape[-1], side)) for side in window]
        return [_by_query_and_key(self.rel_pos_h, window[0]), _by_query_and_key(self.rel_pos_w, window[1])]

    def _attend(self, windows: Tensor, real: Size, tables: Sequence[Tensor]) -> Tensor:
        """Attend within windows of which some tokens are asked for.

        Args:
            windows: queries, keys and values (3, B, n, m, N, H, W, C).
            real: h and w; the tokens asked for are the first h rows and w columns.
            tables: see ``_tables``.

        Returns:
            (B, n h, m w, D).
        """
        h, w = real
        queries, keys, values = windows.flatten(1, 3)
        queries = queries[:, :, :h, :w]
        rows = queries @ tables[0][:h]
        columns = (queries.transpose(2, 3) @ tables[1][:w]).transpose(2, 3)
        attend = _with_masks if _are_masks_faster(queries.device) else _with_components
        attended = attend(queries * self.scale, keys.flatten(2, 3), values.flatten(2, 3), rows, columns)
        B, n, m, N = windows.shape[1:5]
        return attended.reshape(B, n, m, N, h, w, -1).permute(0, 1, 4, 2, 5, 3, 6).reshape(B, n * h, m * w, -1)


def _partition(qkv: Tensor, window: Size, heads: int) -> Tensor:
    """(B, H', W', 3 D) -> (3, B, n, m, heads, H, W, C) for n x m windows of H x W tokens."""
    n, m = (side // length for side, length in zip(qkv.shape[1:3], window, strict=True))
    return qkv.reshape(len(qkv), n, window[0], m, window[1], 3, heads, -1).permute(5, 0, 1, 3, 6, 2, 4, 7)


def _by_query_and_key(table: Tensor, side: int) -> Tensor:
    """The relative positions (L, C) as (side, C, side), for each query and each key of an axis."""
    if len(table) != 2 * side - 1:  # a table for another grid is resized, as segment_anything does
        table = functional.interpolate(table.T[None], size=2 * side - 1, mode="linear")[0].T
    return table.unfold(0, side, 1).flip(-1)


def _spans(length: int, window: int, crop: bool) -> list[tuple[slice, int]]:
    """Along one axis, which windows are attended together, and for how many of their tokens."""
    number, rest = -(-length // window), length % window
    if not crop or not rest:
        return [(slice(0, number), window)]
    spans = [(slice(0, number - 1), window), (slice(number - 1, number), rest)]
    return spans[number == 1 :]


def _join(parts: list[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _is_cropping_faster(windows: Tensor, *, real_tokens: int) -> bool:
    """Whether to attend for real queries only, in separate calls for windows that are filled differently."""
    _, B, n, m, N, H, W, _ = windows.shape
    spared = B * N * (n * H * m * W - real_tokens) * H * W
    return windows.device.type == "cpu" and spared >= _ELEMENTS_WORTH_A_CALL


def _are_masks_faster(device: torch.device) -> bool:
    """On a CPU the components cost more than the masks do, but PyTorch has no fused gradient of a mask there."""
    return device.type == "cpu" and not torch.is_grad_enabled()


def _with_masks(queries: Tensor, keys: Tensor, values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Attention with the relative positions as masks, a few windows and heads at a time.

    Args:
        queries: (n, N, h, w, C), scaled.
        keys: (n, N, H W, C).
        values: (n, N, H W, C).
        rows: what a query adds for each row of keys, (n, N, h, w, H).
        columns: what it adds for each column of keys, (n, N, h, w, W).

    Returns:
        (n, N, h w, C).
    """
    shape = (-1, 1, queries.shape[2] * queries.shape[3], keys.shape[2])
    at_once = max(1, _MASK_ELEMENTS // (shape[2] * shape[3]))
    parts = (part.flatten(0, 1).split(at_once) for part in (queries.flatten(2, 3), keys, values, rows, columns))
    attended = [
        functional.scaled_dot_product_attention(
            q[:, None], k[:, None], v[:, None], attn_mask=(r[..., None] + c[..., None, :]).reshape(shape), scale=1.0
        )
        for q, k, v, r, c in zip(*parts, strict=True)
    ]
    return _join(attended, 0).view(*keys.shape[:2], shape[2], -1)


def _with_components(queries: Tensor, keys: Tensor, values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """As ``_with_masks``, with the relative positions as components of queries, and of keys that mark their places.

    No mask exists, so the fastest kernels can run, and nothing as large as an attention map is kept for gradients.
    """
    H, W, C = rows.shape[-1], columns.shape[-1], values.shape[-1]
    row, column = (torch.eye(side, dtype=keys.dtype, device=keys.device) for side in (H, W))
    places = torch.cat((row.repeat_interleave(W, 0), column.repeat(H, 1)), 1)
    attended = functional.scaled_dot_product_attention(
        torch.cat((queries, rows, columns), -1).flatten(2, 3),
        torch.cat((keys, places.expand(*keys.shape[:2], -1, -1)), -1),
        functional.pad(values, (0, H + W)),  # the kernels want values as wide as keys
        scale=1.0,
    )
    return attended[..., :C]
