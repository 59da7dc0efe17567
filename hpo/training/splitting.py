"""Which rows train, validate and test."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from hpo import seeding
from hpo.training.generated import random_state

Folds = tuple[tuple[np.ndarray, np.ndarray], ...]


def split_rows(
    strata: np.ndarray | None, count: int, validation: int, test: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training, validation and test rows at random.

    Args:
        strata: classes (count,), of which every part has the same shares; None: there are none.
        count: rows in all.
        validation: how many validate.
        test: how many test, >= 0.
        seed: the data seed.
    """
    from sklearn.model_selection import train_test_split

    def cut(rows: np.ndarray, size: int, purpose: str) -> tuple[np.ndarray, np.ndarray]:
        stratify = None if strata is None else strata[rows]
        state = random_state(seed, "split", purpose)
        kept, away = train_test_split(rows, test_size=size, stratify=stratify, random_state=state)
        return kept, away

    rest, tested = cut(np.arange(count), test, "test") if test else (np.arange(count), np.arange(0))
    train, validated = cut(rest, validation, "validation")
    return train, validated, tested


def split_groups(groups: np.ndarray, shares: Sequence[float], seed: int) -> list[np.ndarray]:
    """Rows of parts of about these `shares`, no group in two of them; the largest groups are dealt out first.

    Args:
        groups: each row's group, numbers 0, 1, ..., (n,); at least as many as shares.
        shares: > 0, sum 1.
        seed: the data seed.
    """
    sizes = np.bincount(groups)
    order = seeding.generator(seed, "data", "split", "groups").permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    targets, dealt = np.array(shares) * len(groups), np.zeros(len(shares))
    part_of = np.zeros(len(sizes), dtype=np.int64)
    for left, group in zip(range(len(order), 0, -1), order, strict=True):
        empty = dealt == 0
        fill = (dealt + sizes[group]) / targets  # of each part if it got the group
        if left <= empty.sum():  # the last groups are for parts without any
            fill[~empty] = np.inf
        part = int(fill.argmin())
        part_of[group] = part
        dealt[part] += sizes[group]
    return [np.flatnonzero(part_of[groups] == part) for part in range(len(shares))]


def make_folds(rows: np.ndarray, folds: int, strata: np.ndarray | None, groups: np.ndarray | None, seed: int) -> Folds:
    """Training and validation rows of every fold; every one of `rows` validates once.

    Args:
        rows: row numbers (n,), at least as many as folds.
        folds: how many; 1: none.
        strata: classes (N,) of all rows of the table, of which every fold has the same shares; None: there are none.
        groups: groups (N,), at least as many in `rows` as folds: none is on both sides of a fold; None: there are none.
        seed: the data seed.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    if folds == 1:
        return ()
    rows = np.sort(rows)
    if groups is not None:
        _, numbered = np.unique(groups[rows], return_inverse=True)
        parts = split_groups(numbered, [1 / folds] * folds, seed)
        return tuple((np.setdiff1d(rows, rows[part], assume_unique=True), rows[part]) for part in parts)
    if strata is not None and np.bincount(strata[rows]).max() < folds:
        strata = None  # no class reaches every fold
    kind = KFold if strata is None else StratifiedKFold
    splitter = kind(folds, shuffle=True, random_state=random_state(seed, "split", "folds"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer rows than folds
        split = list(splitter.split(rows, None if strata is None else strata[rows]))
    return tuple((rows[train], rows[validation]) for train, validation in split)
