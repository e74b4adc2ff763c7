"""One scene: tissues behind, objects before them, look-alikes beside the target, and the masks of what is visible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.pretraining_scenes.families import SHAPES
from benchmarks.pretraining_scenes.fields import Field, pixel_grid, smooth_noise
from benchmarks.pretraining_scenes.looks import Look, random_look, scanned
from benchmarks.pretraining_scenes.shapes import Placement

Mask = NDArray[np.bool_]

MOSAICS = "mosaics"
"""The family whose targets are tissues of the background itself, which border on each other."""

TEXTURES = "textures"
"""The family whose targets have the grey value of what surrounds them and another texture."""

HELD_OUT_FAMILIES = ("crescents", "coils")
"""Never trained on: they show what the model does with shapes it has not seen."""

TRAINING_FAMILIES = (*(name for name in SHAPES if name not in HELD_OUT_FAMILIES), MOSAICS, TEXTURES)

_SMALLEST_AREA = 12
_LARGEST_SHARE = 1 / 3
_GAP = 2.0
_SHOWN = 0.6


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A picture and what can be asked for in it.

    Attributes:
        image: shape (side, side), grey values in [-1, 1].
        masks: the targets, each of shape (side, side); the first belongs to the scene's own family.
        family: name of that family.
    """

    image: Field
    masks: tuple[Mask, ...]
    family: str


def make_scene(
    *,
    seed: int,
    index: int,
    side: int,
    families: Sequence[str] = TRAINING_FAMILIES,
    smallest_share: float = 0.0,
) -> Scene:
    """Scene number ``index`` of a seed; the same arguments give the same scene.

    Args:
        seed: any non-negative number.
        index: likewise.
        side: side of the picture in pixels; the objects grow with it.
        families: what the family is drawn from, each as likely. The other objects of a scene come from
            ``TRAINING_FAMILIES`` whatever this says.
        smallest_share: no target covers less of the picture than this, nor less than 12 pixels.
    """
    random = np.random.default_rng([seed, index])
    family = str(random.choice(list(families)))
    while True:
        masks, picture = _compose(random, family, side, smallest=max(_SMALLEST_AREA, smallest_share * side**2))
        if masks:
            return Scene(image=scanned(random, picture), masks=masks, family=family)


@dataclass
class _Canvas:
    picture: Field
    objects: list[Mask] = field(default_factory=list)
    full_areas: list[int] = field(default_factory=list)

    def paint(self, distance: Field, look: Look) -> None:
        opacity = np.clip(0.5 - distance, 0, 1)
        self.picture = self.picture + opacity * (np.float32(look.level) + look.texture - self.picture)
        mask = distance < 0
        for other in self.objects:
            other &= ~mask
        self.objects.append(mask)
        self.full_areas.append(int(mask.sum()))

    def targets(self, smallest: float) -> list[Mask]:
        largest = _LARGEST_SHARE * self.picture.size
        return [
            mask
            for mask, full in zip(self.objects, self.full_areas, strict=True)
            if max(smallest, _SHOWN * full) <= mask.sum() <= largest
        ]


def _compose(random: np.random.Generator, family: str, side: int, *, smallest: float) -> tuple[tuple[Mask, ...], Field]:
    """The visible targets, the family's own first, or none where nothing of the family is left, and the picture."""
    canvas = _Canvas(picture=np.zeros((side, side), dtype=np.float32))
    cells = _paint_background(
        random, canvas, count=int(random.integers(5, 13) if family == MOSAICS else random.integers(1, 7))
    )
    if family == MOSAICS:
        canvas.objects = cells
        canvas.full_areas = [int(cell.sum()) for cell in cells]
        _paint_kind(random, canvas, _any_shape(random), copies=int(random.integers(0, 3)))
        targets = canvas.targets(smallest)
        return tuple(targets[i] for i in random.permutation(len(targets))), canvas.picture
    for _ in range(int(random.integers(0, 3))):
        _paint_kind(random, canvas, _any_shape(random), copies=int(random.integers(1, 3)))
    others = len(canvas.objects)
    _paint_kind(random, canvas, family, copies=int(random.integers(1, 5)))
    own = canvas.objects[others:]
    shown = canvas.targets(smallest)
    first = [mask for mask in shown if any(mask is one for one in own)]
    rest = [mask for mask in shown if not any(mask is one for one in own)]
    return (tuple(first + rest) if first else ()), canvas.picture


def _any_shape(random: np.random.Generator) -> str:
    return str(random.choice([name for name in TRAINING_FAMILIES if name in SHAPES]))


def _paint_background(random: np.random.Generator, canvas: _Canvas, *, count: int) -> list[Mask]:
    """Fill the picture with ``count`` tissues that border on each other; their masks."""
    side = len(canvas.picture)
    x, y = pixel_grid(side)
    bend = random.uniform(0.02, 0.1) * side
    scale = side * random.uniform(0.15, 0.5)
    x = x + np.float32(bend) * smooth_noise(random, side, scale)
    y = y + np.float32(bend) * smooth_noise(random, side, scale)
    seeds = random.uniform(0, side, (count, 2)).astype(np.float32)
    distances = np.stack([np.square(x - sx) + np.square(y - sy) for sx, sy in seeds])
    cells = distances.argmin(axis=0)
    levels = _levels(random, count)
    canvas.picture = levels[cells]
    masks = [cells == number for number in range(count)]
    for mask in masks:
        canvas.picture = canvas.picture + mask * random_look(random, side, 0.0).texture
    return masks


def _levels(random: np.random.Generator, count: int) -> Field:
    """Grey values at least a twentieth apart, in random order."""
    spread = random.uniform(0.2, 0.9)
    values = random.uniform(0.1, 0.1 + spread / 2) + spread * (
        np.arange(count) + random.uniform(-0.3, 0.3, count)
    ) / max(count, 4)
    return random.permutation(values).astype(np.float32)


def _paint_kind(random: np.random.Generator, canvas: _Canvas, family: str, *, copies: int) -> None:
    """Paint ``copies`` objects of one family and one look, apart from each other: each is the others' look-alike."""
    side = len(canvas.picture)
    size = float(np.exp(random.uniform(np.log(max(2.2, 0.03 * side)), np.log(0.3 * side))))
    look: Look | None = None
    painted: list[Field] = []
    for _ in range(copies):
        distance = _draw(random, family, side, size * random.uniform(0.8, 1.25))
        if any((np.maximum(distance, other) < _GAP).any() for other in painted):
            continue
        look = look or _contrasting_look(random, canvas.picture, distance, family)
        if look is None:
            continue
        canvas.paint(distance, look)
        if random.random() < 0.12:
            _paint_rim(random, canvas, distance)
        painted.append(distance)


def _draw(random: np.random.Generator, family: str, side: int, size: float) -> Field:
    margin = min(0.45 * side, 0.6 * size + 2)
    x, y = random.uniform(margin, side - margin, 2)
    rule = SHAPES[family if family in SHAPES else str(random.choice(["blobs", "islands", "lobes"]))]
    size = max(size, 5.0) if family == TEXTURES else size
    return rule(random, Placement(side=side, x=float(x), y=float(y), size=size))


def _contrasting_look(random: np.random.Generator, picture: Field, distance: Field, family: str) -> Look | None:
    """A look that can be told from what surrounds the object, or None where the object lies outside the picture."""
    around = picture[(distance > 0) & (distance < 4)]
    if not len(around):
        return None
    level = float(around.mean())
    if family == TEXTURES:
        return random_look(random, len(picture), level, strength=random.uniform(0.1, 0.2))
    contrast = random.uniform(0.1, 0.45) + 0.5 * float(around.std())
    sign = random.choice([-1, 1]) if contrast < level else 1
    return random_look(random, len(picture), level + sign * contrast)


def _paint_rim(random: np.random.Generator, canvas: _Canvas, distance: Field) -> None:
    """A thin edge of its own grey value along the object's outline, inside it."""
    width = random.uniform(0.6, 1.5)
    opacity = np.clip(0.5 + width - np.abs(distance + width), 0, 1) * np.float32(0.8)
    level = np.float32(random.uniform(0, 1.1))
    canvas.picture = canvas.picture + opacity * (level - canvas.picture)
