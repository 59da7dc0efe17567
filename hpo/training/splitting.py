"""Which rows train, validate and test."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo import seeding
from hpo.errors import DataError
from hpo.training.generated import random_state
from hpo.training.schema import listed

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


@dataclass(frozen=True, eq=False)
class Splitter:
    """Splits a user's table.

    Attributes:
        name: what messages call the table.
        count: n, rows with a target.
        strata: classes 0, 1, ..., (n,) int64; None for a regression.
        classes: names of the classes.
        groups: each row's group, numbered, (n,); None: rows stand for themselves.
    """

    name: str
    count: int
    strata: np.ndarray | None
    classes: tuple[str, ...]
    groups: np.ndarray | None

    def split(
        self, shares: Sequence[float], seed: int, notices: list[str]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Training, validation and test rows: by groups, else with the same shares of classes where that can be.

        Classes with fewer rows than there are parts train only.

        Args:
            shares: of rows that train, validate and, if there is a third one, test.
            seed: the data seed.
            notices: gets what users should know.

        Raises:
            DataError: fewer groups than parts.
        """
        parts = len(shares)
        if self.groups is not None:
            self._require_groups(self.groups, parts, "parts")
            train, validation, *more = split_groups(self.groups, shares, seed)
            return train, validation, (more or [np.arange(0)])[0]
        sizes = [max(1, round(share * self.count)) for share in shares[1:]]
        validation_size, test_size = (*sizes, 0)[:2]
        strata, common, rare = self.strata, np.arange(self.count), np.arange(0)
        if strata is not None:
            counts = np.bincount(strata)
            few = counts < parts
            common, rare = np.flatnonzero(~few[strata]), np.flatnonzero(few[strata])
            least = min(*sizes, len(common) - sum(sizes))
            if least < (~few).sum():
                notices.append(
                    f"{self.name} has too few rows for every class to be in every part: split without regard to it"
                )
                strata, common, rare = None, np.arange(self.count), np.arange(0)
            elif len(rare):
                rows = f"fewer than {parts} rows, one for each part"
                notices.append(f"{self._named(few)} {rows}: they all train")
        some = None if strata is None else strata[common]
        train, validation, test = split_rows(some, len(common), validation_size, test_size, seed)
        return np.concatenate([common[train], rare]), common[validation], common[test]

    def folds(self, held: np.ndarray, folds: int, seed: int, notices: list[str]) -> Folds:
        """Folds of the rows `held`, see `make_folds`; raises DataError where there are too few rows or groups."""
        if folds > len(held):
            raise DataError(
                f"{self.name} has {len(held)} rows to train and validate on, too few for {folds} folds: ask for fewer"
            )
        if folds > 1 and self.groups is not None:
            self._require_groups(self.groups[held], folds, "folds")
        elif folds > 1 and self.strata is not None:
            counts = np.bincount(self.strata[held], minlength=len(self.classes))
            few = (counts < folds) & (counts > 0)
            if few.any():
                notices.append(f"{self._named(few)} fewer than {folds} rows, one for each fold: some folds lack them")
        return make_folds(held, folds, self.strata, self.groups, seed)

    def _named(self, few: np.ndarray) -> str:
        names = [name for name, chosen in zip(self.classes, few, strict=True) if chosen]
        return f"class {listed(names)} has" if len(names) == 1 else f"classes {listed(names)} have"

    def _require_groups(self, groups: np.ndarray, parts: int, what: str) -> None:
        count = len(np.unique(groups))
        if count < parts:
            raise DataError(
                f"{self.name} has {count} group{'s' * (count != 1)}, too few for {parts} {what}, since no group may be "
                "on two sides: give another column for the groups, or none"
            )
