"""Image embeddings of a frozen encoder on disk: half precision, memory-mapped, whole or absent."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spd_bench.storage import atomic_path, read_json, remove_leftovers, write_json
from spd_bench.training.embedding_views import View, ViewChoice

_CHOICE = "choice.json"


class EmbeddingCache:
    """The encoded slices of a run, with the masks that belong to them.

    Each view of a case is two files: ``<view>.npy``, float16 (slices, C, h, w), and ``<view>_masks.npy``, uint8
    (slices, ceil(R * R / 8)), each row a mask of R x R packed bits (unpacking takes a fortieth of the time that
    turning the mask again would). All lie in a folder named by the key, so that what was made from other weights,
    points or settings is not found; files appear under their names when they are whole.

    Attributes: ``folder`` and ``resolution``.

    Args:
        folder: the run's own folder of embeddings.
        key: hash of everything that decides the embeddings.
        embedding_shape: (C, h, w).
        resolution: R, the side of the slices in pixels.
    """

    def __init__(self, folder: Path, *, key: str, embedding_shape: Sequence[int], resolution: int) -> None:
        self._root = folder
        self.folder = folder / key[:16]
        self._embedding_shape = tuple(embedding_shape)
        self.resolution = resolution

    @property
    def bytes_per_slice(self) -> int:
        """What one slice takes on disk."""
        return 2 * math.prod(self._embedding_shape) + self._packed_row

    @property
    def _packed_row(self) -> int:
        return math.ceil(self.resolution**2 / 8)

    def choice(self) -> ViewChoice | None:
        """What the cache was begun with; None where it has not been begun."""
        path = self.folder / _CHOICE
        return ViewChoice(**read_json(path)) if path.is_file() else None

    def keep_choice(self, choice: ViewChoice) -> None:
        """Begin the cache, or stay with what it was begun with.

        Raises:
            InputError: the folder cannot be written to.
        """
        write_json(self.folder / _CHOICE, choice.to_json())

    def holds(self, view: View, slices: int) -> bool:
        """Whether a view is there, whole and with that many slices."""
        try:
            embeddings, masks = self._open(view)
        except (OSError, ValueError, EOFError):
            return False
        return (embeddings.dtype, embeddings.shape) == (np.float16, (slices, *self._embedding_shape)) and (
            masks.dtype,
            masks.shape,
        ) == (np.uint8, (slices, self._packed_row))

    def write(self, view: View, slices: int, chunks: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Write a view from chunks of embeddings (N, C, h, w) and masks (N, R, R).

        Raises:
            InputError: the folder cannot be written to, or there is no space left; nothing of the view is there then.
        """
        # Written, not mapped: a full disk is an error of writing, but kills a process that writes through a map.
        with ExitStack() as stack:
            embeddings, masks = (
                stack.enter_context(stack.enter_context(atomic_path(path)).open("wb")) for path in self._paths(view)
            )
            _write_header(embeddings, (slices, *self._embedding_shape), np.float16)
            _write_header(masks, (slices, self._packed_row), np.uint8)
            for encoded, turned in chunks:
                embeddings.write(np.ascontiguousarray(encoded.to("cpu", torch.float16).numpy()).tobytes())
                masks.write(np.packbits(turned.flatten(1).numpy() > 0, axis=1).tobytes())

    def read(self, view: View, rows: Sequence[int] | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Embeddings (N, C, h, w) in half precision and masks (N, R, R), 0 or 1, of some slices of a view."""
        embeddings, packed = self._open(view)
        side = self.resolution
        masks = np.unpackbits(packed[rows], axis=1, count=side * side).reshape(-1, side, side)
        return torch.from_numpy(embeddings[rows]), torch.from_numpy(masks.astype(np.float32))

    def remove_others(self) -> None:
        """Remove what was made under other keys, and what killed processes left half-written."""
        for path in self._root.glob("*"):
            if path != self.folder:
                shutil.rmtree(path, ignore_errors=True)
        remove_leftovers(self._root)

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _paths(self, view: View) -> tuple[Path, Path]:
        return self.folder / f"{view.name}.npy", self.folder / f"{view.name}_masks.npy"

    def _open(self, view: View) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
        embeddings, masks = (np.load(path, mmap_mode="r", allow_pickle=False) for path in self._paths(view))
        return embeddings, masks


def weights_digest(module: nn.Module) -> str:
    """Hex SHA-256 over the names and values of a module's weights."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).data)
    return digest.hexdigest()


def _write_header(stream: BinaryIO, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
