"""Courses of the bowel around the ileocaecal corner: terminal ileum, colon and small-bowel loops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spd_bench.phantoms.walks import WalkSettings, random_walk, resample_course, spline_course

TI, COLON = 0, 1
"""Numbers of the terminal ileum and the colon among the courses; the loops follow."""

_ABNORMAL_SHARE = 0.6
_LOOP_ABNORMAL_SHARE = 0.6
_CAVITY = WalkSettings(centre=(0, -28, -15), radii=(112, 58, 90), clearance=20.0)


@dataclass(frozen=True, kw_only=True)
class Bowel:
    """The courses of one patient's bowel, in mm (x y z), the TI first, then the colon, then the loops.

    Attributes:
        courses: centrelines (N, 3), the TI's from its proximal end to the ileocaecal valve.
        radii: radii along each course (N,).
        onward: course from the end of the TI through the ileocaecal valve along the colon, as a trace follows it.
        thick: which courses have an inflamed, thickened wall.
    """

    courses: list[NDArray[np.float64]]
    radii: list[NDArray[np.float64]]
    onward: NDArray[np.float64]
    thick: NDArray[np.bool_]


def draw_bowel(rng: np.random.Generator) -> Bowel:
    """Draw the courses of a patient with or without an inflamed terminal ileum."""
    abnormal = rng.random() < _ABNORMAL_SHARE
    valve_height = rng.uniform(-50, -10)
    caecum = np.array([rng.normal(-88, 7), rng.normal(-8, 7), valve_height])
    colon = spline_course(_colon_landmarks(rng, caecum), step=6.0)
    colon_radii = _haustra(rng, len(colon))
    valve = int(np.argmin(np.abs(colon[: len(colon) // 3, 2] - valve_height)))
    ileum = _terminal_ileum(rng, colon, valve=colon[valve], radius=colon_radii[valve])

    courses, radii, thick = [ileum, colon], [_calibre(rng, len(ileum), abnormal), colon_radii], [abnormal, False]
    for _ in range(rng.integers(22, 35)):
        loop = _loop(rng, np.concatenate(courses))
        swollen = bool(abnormal and rng.random() < _LOOP_ABNORMAL_SHARE)
        courses.append(loop)
        radii.append(_calibre(rng, len(loop), swollen))
        thick.append(swollen)
    onward = resample_course(np.concatenate([ileum[-1:], colon[valve:]]), step=4.0)
    return Bowel(courses=courses, radii=radii, onward=onward, thick=np.array(thick))


def _colon_landmarks(rng: np.random.Generator, caecum: NDArray[np.float64]) -> NDArray[np.float64]:
    """Landmarks (x y z, mm) from the caecal pole to the rectum; the caecum's own are not moved."""
    x, y, z = caecum
    fixed = [(x + 6, y - 4, z - 28), (x, y, z)]
    course = [
        (x - 10, y + 14, z + 50),
        (-98, 12, 62),
        (-55, -48, 55),
        (0, -66, 38),
        (55, -50, 60),
        (102, 8, 82),
        (110, 22, 20),
        (104, 12, -35),
        (62, -2, -70),
        (18, 18, -74),
        (0, 48, -102),
    ]
    return np.concatenate([fixed, np.array(course) + rng.normal(0, 6, (len(course), 3))])


def _haustra(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Radii (count,) in mm of a colon: widest at the caecum, pinched about every 30 mm."""
    along = np.arange(count)
    taper = np.interp(along / count, [0, 0.15, 0.6, 1], [26, 23, 18, 16])
    return np.asarray(taper * rng.uniform(0.85, 1.1) * (1 + 0.12 * np.sin(along * 6.0 / 30 * 2 * np.pi)))


def _terminal_ileum(
    rng: np.random.Generator, colon: NDArray[np.float64], *, valve: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """The last 8-15 cm of the ileum (N, 3), ending at the medial wall of the caecum."""
    medial = np.array([1.0, rng.uniform(-0.5, 0.4), rng.uniform(-0.35, 0.2)])
    medial /= np.linalg.norm(medial)
    x, y, z = valve
    region = WalkSettings(
        centre=(x + 48, y + rng.uniform(-18, 8), z + rng.uniform(-14, 2)), radii=(52, 38, 33), step=4.0, turn=0.35
    )
    start = valve + 0.95 * radius * medial
    length = rng.uniform(85, 150)
    walk = random_walk(rng, start=start, heading=medial, length=length, settings=region, obstacles=colon)
    return resample_course(walk[::-1], step=4.0)


def _loop(rng: np.random.Generator, obstacles: NDArray[np.float64]) -> NDArray[np.float64]:
    """One loop of small bowel (N, 3) that starts in the roomiest of a few places of the cavity."""
    directions = rng.standard_normal((12, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    reach = rng.random((12, 1)) ** (1 / 3) * np.asarray(_CAVITY.radii) * 0.85
    places = np.asarray(_CAVITY.centre) + reach * directions
    room = np.linalg.norm(places[:, None] - obstacles[None], axis=2).min(axis=1)
    return random_walk(
        rng,
        start=places[np.argmax(room)],
        heading=rng.standard_normal(3),
        length=rng.uniform(90, 240),
        settings=_CAVITY,
        obstacles=obstacles,
    )


def _calibre(rng: np.random.Generator, count: int, thick: bool) -> NDArray[np.float64]:
    """Radii (count,) in mm along small bowel; 9.4 +- 1.8 mm, 2 mm more where its wall is thickened."""
    mean = np.clip(rng.normal(9.4, 1.8), 6.0, 13.5) + (2.0 if thick else 0.0)
    nodes = np.arange(0, count + 6, 6)
    wave = np.interp(np.arange(count), nodes, rng.normal(1, 0.12, len(nodes)))
    return np.asarray(mean * np.clip(wave, 0.75, 1.3))
