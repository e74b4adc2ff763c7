"""Contextual Prompt Distillation while the slices of a volume come one after the other.

The points of all slices are known beforehand, and a slice's saliency matters only at its own and its neighbours'
points. So no saliency map is kept: a slice's prompts are known as soon as its last neighbour has been looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spd_bench.models.distillation import check_distillation, stack_points


class PromptStream:
    """What :func:`spd_bench.models.distillation.distill_prompts` gives, slice by slice and in the same order.

    Args:
        points: Z integer arrays of shape (N, 2): the pixels (x, y) = (column, row) drawn on each slice.
        shape: (H, W) of the slices.
        threshold: tau, in [0, 1].
        context: n, the number of neighbouring slices looked at on EACH side.

    Raises:
        ValueError: as ``distill_prompts``.

    Example:
        >>> stream = PromptStream([np.array([[2, 1], [0, 0]]), []], shape=(4, 4), threshold=0.5, context=1)
        >>> stream.candidates(0).tolist(), stream.candidates(1).tolist()
        ([[2, 1], [0, 0]], [[2, 1], [0, 0]])
        >>> stream.push(np.array([0.9, 0.1]))
        []
        >>> [prompts.tolist() for prompts in stream.push(np.array([0.9, 0.9]))]
        [[[2, 1]], [[2, 1]]]
    """

    def __init__(
        self, points: Sequence[ArrayLike], *, shape: tuple[int, int], threshold: float = 0.5, context: int = 2
    ) -> None:
        check_distillation(threshold=threshold, context=context)
        slices, xy = stack_points(points, shape=(len(points), *shape))
        self._points = np.split(xy, np.searchsorted(slices, np.arange(1, len(points)))) if len(points) else []
        self._width = shape[1]
        self._threshold = threshold
        self._context = context
        self._looked_at = 0
        self._given = 0
        self._own: dict[int, NDArray[np.bool_]] = {}
        self._confirmed: dict[int, NDArray[np.bool_]] = {}

    def candidates(self, index: int) -> NDArray[np.int64]:
        """The pixels (N, 2: x, y) at which a slice's saliency decides: its own points, then its neighbours'."""
        return np.concatenate([self._points[source] for source in self._sources(index)])

    def push(self, saliency: NDArray[np.floating]) -> list[NDArray[np.int64]]:
        """Look at the next slice.

        Args:
            saliency: the probabilities (N,) at the slice's ``candidates``.

        Returns:
            The prompts (N, 2) of the slices that are decided by now and have not been given yet, in their order:
            none at first, then one slice each, and with the volume's last slice all that are left.

        Raises:
            ValueError: there is no further slice, or the values are not one for each candidate.
        """
        index = self._looked_at
        wanted = sum(len(self._points[source]) for source in self._sources(index)) if index < len(self._points) else 0
        if index >= len(self._points) or np.shape(saliency) != (wanted,):
            msg = f"slice {index} of {len(self._points)} has {wanted} candidates, got {np.shape(saliency)}"
            raise ValueError(msg)
        confirmed = np.asarray(saliency) > self._threshold
        self._confirmed[index] = confirmed
        self._own[index] = confirmed[: len(self._points[index])]
        self._looked_at += 1
        last = self._looked_at == len(self._points)
        decided = self._looked_at if last else max(0, self._looked_at - self._context)
        return [self._decide(number) for number in range(self._given, decided)]

    def _sources(self, index: int) -> list[int]:
        near = range(max(0, index - self._context), min(len(self._points), index + self._context + 1))
        return [index, *(source for source in near if source != index)]

    def _decide(self, index: int) -> NDArray[np.int64]:
        valid = np.concatenate([self._own[source] for source in self._sources(index)])
        kept = self.candidates(index)[valid & self._confirmed.pop(index)]
        self._own.pop(index - self._context, None)
        self._given = index + 1
        keys = kept[:, 1] * self._width + kept[:, 0]
        return kept[np.sort(np.unique(keys, return_index=True)[1])]
