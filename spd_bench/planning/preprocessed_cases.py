"""Preprocessed cases as nnU-Net keeps them, without its trust in pickles.

nnU-Net writes a case's properties (geometry, where its classes lie) as a pickle, and unpickles whatever lies in the
folder: a file that someone else has made could run any code. Here the properties are read by an unpickler that knows
plain values and NumPy's arrays, which is all that nnU-Net writes into them.
"""

from __future__ import annotations

import pickle  # nosec B403 - for the unpickler below, which builds nothing but arrays
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import blosc2
import nnunetv2.training.dataloading.nnunet_dataset as nnunet_dataset
import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError

_ARRAYS = {"_reconstruct", "scalar", "_frombuffer"}
_ARRAY_MODULES = {
    *("numpy.core.multiarray", "numpy.core.numeric"),
    *("numpy._core.multiarray", "numpy._core.numeric"),
}
_TYPES = {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype}


class PreprocessedCases(nnunet_dataset.nnUNetDatasetBlosc2):
    """nnU-Net's folder of preprocessed cases; see the module."""

    def load_case(self, identifier: str) -> tuple[blosc2.NDArray, blosc2.NDArray, blosc2.NDArray | None, Any]:
        """Images, labels, labels of an earlier stage and properties of a case; arrays stay on disk.

        Raises:
            InputError: a file is missing or damaged, or the properties ask for more than values and arrays.
        """
        properties = read_properties(Path(self.source_folder, f"{identifier}.pkl"))
        images, labels = (self._open(f"{identifier}{suffix}.b2nd") for suffix in ("", "_seg"))
        return images, labels, None, properties

    def read_slices(
        self, identifier: str, slices: Sequence[int] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.integer[Any]]]:
        """Images (C, S, H, W) and labels (S, H, W) of some slices of a case, or of all.

        Raises:
            InputError: a file is missing or damaged.
        """
        images, labels, *_ = self.load_case(identifier)
        try:
            wanted = range(images.shape[1]) if slices is None else slices
            return (
                np.concatenate([images[:, index : index + 1] for index in wanted], axis=1),
                np.concatenate([labels[0, index : index + 1] for index in wanted]),
            )
        except Exception as error:  # as on opening
            file = Path(self.source_folder, f"{identifier}.b2nd")
            raise InputError(
                f"preprocessed images or labels are damaged ({error})", file=file, remedy=_AGAIN
            ) from error

    def _open(self, name: str) -> blosc2.NDArray:
        path = Path(self.source_folder, name)
        if not path.is_file():
            raise InputError("preprocessed case not found", file=path, remedy=_AGAIN)
        try:
            return blosc2.open(urlpath=str(path), mode="r", dparams={"nthreads": 1}, **self.mmap_kwargs)
        except Exception as error:  # blosc2 raises many types on damaged files
            raise InputError(f"preprocessed case cannot be read ({error})", file=path, remedy=_AGAIN) from error


_AGAIN = "run spd_plan_and_preprocess again"


def read_properties(path: Path) -> Any:
    """A preprocessed case's properties.

    Raises:
        InputError: the file is missing or torn, or asks for anything but plain values and NumPy's arrays.
    """
    try:
        with path.open("rb") as stream:
            return _ArrayUnpickler(stream).load()
    except FileNotFoundError as error:
        raise InputError("preprocessed case not found", file=path, remedy=_AGAIN) from error
    except Exception as error:  # an unpickler lets through whatever it stumbles over
        raise InputError(f"properties cannot be read ({error})", file=path, remedy=_AGAIN) from error


class _ArrayUnpickler(pickle.Unpickler):
    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _TYPES:
            return _TYPES[module, name]
        if module in _ARRAY_MODULES and name in _ARRAYS:
            return super().find_class(module, name)
        msg = f"it asks for {module}.{name}"
        raise pickle.UnpicklingError(msg)
