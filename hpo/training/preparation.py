"""What happens to inputs before networks see them, fitted on training rows and kept as plain arrays.

The order is that of a scikit-learn pipeline: missing values, outliers, scale, principal components. Every step but
the last works column by column, so tables are fitted in blocks of columns and prepared in blocks of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from hpo.training.hyperparameters import Preparation

QUANTILES = (0.01, 0.99)  # what clip_outliers clips at
_BLOCK = 2**22  # elements in float64 worked on at once: 32 MiB
_GREATEST = float(np.finfo(np.float32).max)
_TIE = 1 - 1e-9  # loadings that differ by less are equal but for rounding


@dataclass(frozen=True, eq=False)
class Transform:
    """A fitted preparation of d columns: x (n, d) with NaN where missing -> (n, n_outputs) float32, finite.

    Steps that are None do nothing. D is d plus the number of indicators.

    Attributes:
        medians: what missing values become, (d,) float64; 0 for a column without a value in the training rows.
        indicators: the columns that had gaps in the training rows, (D - d,) int64, rising: for each of them a column
            is appended, 1 where the value is missing, else 0.
        low: the least value that a column keeps, (D,) float64; smaller ones become it.
        high: the greatest value, (D,) float64.
        scale: then x * scale + shift, (D,) float64.
        shift: (D,) float64.
        mean: then (x - mean) @ matrix, (D,) float64.
        matrix: (D, n_outputs) float64.
    """

    medians: np.ndarray
    indicators: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None
    mean: np.ndarray | None = None
    matrix: np.ndarray | None = None

    @property
    def n_inputs(self) -> int:
        """Columns of a table, d."""
        return len(self.medians)

    @property
    def n_outputs(self) -> int:
        """Columns that a network sees."""
        return len(self.medians) + len(self.indicators) if self.matrix is None else self.matrix.shape[1]

    def apply(self, x: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """The rows of `x` as networks see them.

        Args:
            x: (N, d), NaN where missing.
            rows: row numbers (n,); None: all of them.

        Returns:
            (n, n_outputs) float32, without NaN and infinities.

        Raises:
            ValueError: a table with another number of columns.
        """
        if x.ndim != 2 or x.shape[1] != self.n_inputs:
            raise ValueError(f"a table of shape {x.shape}, expected {self.n_inputs} columns")
        prepared = np.empty((len(x) if rows is None else len(rows), self.n_outputs), np.float32)
        start = 0
        for block in self._blocks(x, rows, max(self.n_inputs, self.n_outputs)):
            np.clip(block, -_GREATEST, _GREATEST, out=block)
            prepared[start : start + len(block)] = block
            start += len(block)
        return prepared

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The steps that do something, by name; the inverse of `from_arrays`."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: array for name, array in arrays.items() if array is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Transform:
        """The transform that `to_arrays` described."""
        return cls(**{name: np.array(array) for name, array in arrays.items()})

    def _blocks(self, x: np.ndarray, rows: np.ndarray | None, width: int) -> Iterator[np.ndarray]:
        """The prepared rows in float64, as many at once as have _BLOCK elements in `width` columns."""
        count, size = len(x) if rows is None else len(rows), max(1, _BLOCK // max(1, width))
        for start in range(0, count, size):
            some = slice(start, min(start + size, count))
            yield self._prepare(x[some] if rows is None else x[rows[some]])

    def _prepare(self, x: np.ndarray) -> np.ndarray:
        x = x.astype(np.float64)  # a copy, (b, d)
        missing = np.isnan(x)
        np.copyto(x, self.medians, where=missing)
        if len(self.indicators):
            x = np.concatenate([x, missing[:, self.indicators]], axis=1)  # (b, D)
        if self.low is not None and self.high is not None:
            np.clip(x, self.low, self.high, out=x)
        if self.scale is not None and self.shift is not None:
            x *= self.scale
            x += self.shift
        if self.mean is not None and self.matrix is not None:
            x = _product(x - self.mean, self.matrix)  # (b, n_outputs)
        return x


def fit(how: Preparation, x: np.ndarray, rows: np.ndarray) -> Transform:
    """Fit a preparation to some rows of a table.

    Equals a pipeline of SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), clipping at the
    QUANTILES, the scaler and PCA of scikit-learn, with two exceptions that keep rounding errors out: components whose
    variance is rounding alone are left out, and of loadings that are equal the first one decides a component's sign.

    Args:
        how: what to do; `pca_components` beyond the rank of the rows keeps as many as there are.
        x: (N, d), NaN where missing.
        rows: the training rows, (n,), at least one.
    """
    d = x.shape[1]
    medians, gappy = np.zeros(d), np.zeros(d, dtype=bool)
    steps, appended = [], []
    for block, some in _column_blocks(x, rows):
        missing = np.isnan(block)
        gappy[some] = missing.any(axis=0)
        medians[some] = _medians(block, missing, gappy[some])
        np.copyto(block, medians[some], where=missing)
        steps.append(_column_steps(how, block))
        appended.append(_column_steps(how, missing[:, gappy[some]].astype(np.float64)))
    low, high, scale, shift = (
        None if parts[0] is None else np.concatenate(parts) for parts in zip(*steps, *appended, strict=True)
    )
    transform = Transform(medians, np.flatnonzero(gappy), low, high, scale, shift)
    if how.preprocessing != "whiten" and how.pca_components == 0:
        return transform
    mean, matrix = _components(transform, x, rows, how.pca_components, how.preprocessing == "whiten")
    return replace(transform, mean=mean, matrix=matrix)


def _column_blocks(x: np.ndarray, rows: np.ndarray) -> Iterator[tuple[np.ndarray, slice]]:
    size = max(1, _BLOCK // max(1, len(rows)))
    for start in range(0, x.shape[1], size):
        some = slice(start, min(start + size, x.shape[1]))
        yield x[rows, some].astype(np.float64), some


def _medians(block: np.ndarray, missing: np.ndarray, gappy: np.ndarray) -> np.ndarray:
    medians = np.zeros(block.shape[1])
    medians[~gappy] = np.median(block[:, ~gappy], axis=0)
    for column in np.flatnonzero(gappy):
        values = block[~missing[:, column], column]
        medians[column] = np.median(values) if len(values) else 0.0
    return medians


def _column_steps(how: Preparation, x: np.ndarray) -> tuple[np.ndarray | None, ...]:
    """low, high, scale, shift of complete columns (n, c), which are clipped in place."""
    low = high = None
    if how.clip_outliers:
        low, high = np.quantile(x, QUANTILES, axis=0)  # (c,) each
        np.clip(x, low, high, out=x)
    if how.preprocessing == "standardize":
        centre, spread = x.mean(axis=0), x.std(axis=0)
        n, eps = len(x), np.finfo(np.float64).eps
        # what rounding leaves of the variance of a constant column, as scikit-learn bounds it
        spread[spread**2 <= n * eps * spread**2 + (n * centre * eps) ** 2] = 1.0
    elif how.preprocessing == "min_max":
        centre = x.min(axis=0)
        spread = _nonzero(x.max(axis=0) - centre)
    elif how.preprocessing == "robust":
        lower, centre, upper = np.quantile(x, (0.25, 0.5, 0.75), axis=0)
        spread = _nonzero(upper - lower)
    else:
        return low, high, None, None
    return low, high, 1 / spread, -centre / spread


def _nonzero(spread: np.ndarray) -> np.ndarray:
    """1 for the spread of constant columns."""
    return np.where(spread < 10 * np.finfo(np.float64).eps, 1.0, spread)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product on one thread; NumPy's has other bits on another number of them."""
    import torch

    from hpo.torch_mode import own_mode

    with own_mode():
        product: np.ndarray = (torch.from_numpy(a) @ torch.from_numpy(b)).numpy()
    return product


def _components(
    transform: Transform, x: np.ndarray, rows: np.ndarray, components: int, whiten: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and matrix (D, k) of the first principal components of the prepared rows; components 0: all."""
    import torch

    from hpo.torch_mode import own_mode

    n, width = len(rows), transform.n_outputs
    mean = sum(block.sum(axis=0) for block in transform._blocks(x, rows, width)) / n
    # the triangle of a QR decomposition has the singular values and right vectors of all rows before it
    triangle = torch.empty((0, width), dtype=torch.float64, device="cpu")
    with own_mode():
        for block in transform._blocks(x, rows, max(1, min(width, _BLOCK // width))):
            triangle = torch.cat([triangle, torch.from_numpy(block - mean)])
            if len(triangle) > width:
                triangle = torch.linalg.qr(triangle, mode="r").R
        # of fewer rows than columns, only what they span matters: svd alone would take five times as long
        span, square = torch.linalg.qr(triangle.T)  # (D, r), (r, r)
        _, sizes, turned = torch.linalg.svd(square.T)
        spread, axes = sizes.numpy(), (turned @ span.T).numpy()  # (r,), (r, D)
    rank = int((spread > spread[0] * max(n, width) * np.finfo(np.float64).eps).sum())
    keep = max(1, min(rank, components or rank))
    spread, axes = spread[:keep], axes[:keep]
    loadings = np.abs(axes)
    decisive = (loadings >= _TIE * loadings.max(axis=1, keepdims=True)).argmax(axis=1)
    matrix = (axes * np.sign(axes[np.arange(keep), decisive])[:, None]).T.copy()
    if whiten:
        matrix *= np.sqrt(max(1, n - 1)) / np.where(spread > 0, spread, 1.0)
    return mean, matrix
