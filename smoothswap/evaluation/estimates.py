"""Means and pooled shares over N pairs, each with its standard error."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from smoothswap.evaluation.per_image import PerImage


@dataclass(frozen=True)
class Share(PerImage):
    """A share that is pooled over N pairs: Σ part / Σ whole, so that pairs with a small whole weigh little.

    Attributes:
        part: float64 [N].
        whole: float64 [N].
    """

    part: Tensor
    whole: Tensor

    @property
    def value(self) -> float:
        """Σ part / Σ whole; NaN where both are 0."""
        return float(self.part.sum() / self.whole.sum())

    @property
    def error(self) -> float:
        """Standard error of `value` by the delta method; NaN for fewer than two pairs.

        A ratio R of two sums is linearised: with e_n = part_n − R · whole_n it is √(N / (N − 1) · Σ e_n²) / Σ whole.
        Where all wholes are equal, this is the standard error of the mean of part_n / whole_n. The pairs are taken as
        independent draws (Cochran, Sampling Techniques, 1977, section 6.4).
        """
        count = len(self.part)
        if count < 2:
            return float("nan")
        residual = self.part - self.value * self.whole
        return float((residual.square().sum() * count / (count - 1)).sqrt() / self.whole.sum())


def mean(values: Tensor) -> float:
    """Mean of [N], those that are not numbers left out; NaN where none is."""
    return float(values.double().nanmean())


def standard_error(values: Tensor) -> float:
    """Standard error of that mean; NaN for fewer than two numbers."""
    numbers = values.double()[~values.isnan()]
    return float(numbers.std() / len(numbers) ** 0.5) if len(numbers) > 1 else float("nan")
