"""Folds by patient: each fold is the test set once, a part of the rest validates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spd_bench.errors import InputError

Split = dict[str, list[str]]


def patient_splits(patients: Mapping[str, str], *, folds: int, seed: int) -> list[Split]:
    """Split cases into folds so that no patient is in two parts of one fold.

    Args:
        patients: patient of each case.
        folds: number of folds; needs at least that many patients.
        seed: seed of the shuffle.

    Returns:
        For each fold a dict of sorted case lists ``train``, ``val`` and ``test``; nnU-Net reads the first
        two from the same file. The fold after the test fold validates, so that test folds partition the cases.

    Raises:
        InputError: there are fewer patients than folds.
    """
    names = sorted(set(patients.values()))
    if len(names) < folds:
        raise InputError(
            f"{len(names)} patient(s) cannot be split into {folds} folds",
            remedy=f"give at least {folds} patients, or fewer folds",
        )
    shuffled = np.random.default_rng(seed).permutation(names)
    fold_of = {str(name): position % folds for position, name in enumerate(shuffled)}
    splits = []
    for test in range(folds):
        validation = (test + 1) % folds
        split: Split = {"train": [], "val": [], "test": []}
        for case in sorted(patients):
            fold = fold_of[patients[case]]
            split["test" if fold == test else "val" if fold == validation else "train"].append(case)
        splits.append(split)
    return splits
