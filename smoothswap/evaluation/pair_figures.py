"""Figures of a verification: the ROC curve, and the pairs that are most wrong (extra: `figures`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from smoothswap.core.errors import InputError
from smoothswap.core.extras import command
from smoothswap.core.files import write_aside
from smoothswap.evaluation.pair_verification import PairVerification, roc

INSTALL = command("figures")
_LOWEST_FAR = 1e-4


@dataclass(frozen=True, eq=False, kw_only=True)
class ShownPair:
    """A pair as the figure shows it.

    Attributes:
        images: what the embedder saw, uint8 [S, S, 3] RGB; None where an image gave no crop.
        names: the images' paths.
        score: the pair's cosine.
        same: whether it shows one person.
    """

    images: tuple[npt.NDArray[np.uint8] | None, npt.NDArray[np.uint8] | None]
    names: tuple[str, str]
    score: float
    same: bool


def draw_roc(path: Path, scores: Tensor, same: Tensor, figures: PairVerification, title: str) -> None:
    """Write the ROC curve as an image, with the false accept rate on a logarithmic axis.

    Args:
        path: the file, .png or .svg.
        scores: [P], larger means more alike.
        same: bool [P], pairs of one person.
        figures: what was measured on these scores.
        title: above the curve.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure = _figure((5.0, 4.0))
    axes = figure.subplots()
    far, tar = roc(scores[same], scores[~same])
    axes.plot(far.clamp_min(_LOWEST_FAR).numpy(), tar.numpy(), drawstyle="steps-post", linewidth=1.5)
    axes.plot(list(figures.tar), list(figures.tar.values()), "o", markersize=4)
    axes.set(xscale="log", xlim=(_LOWEST_FAR, 1), xlabel="false accept rate", ylabel="true accept rate", title=title)
    axes.set_ylim(max(0.0, 1 - 2 * max(0.005, 1 - min(figures.tar.values()))), 1.002)
    axes.grid(visible=True, which="major", alpha=0.3)
    label = f"accuracy {figures.accuracy:.2%} ± {figures.error:.2%}\nAUC {figures.auc:.4f}, EER {figures.eer:.2%}"
    axes.text(0.97, 0.05, label, transform=axes.transAxes, ha="right", va="bottom")
    _save(figure, path)


def draw_pairs(path: Path, pairs: Sequence[ShownPair]) -> None:
    """Write pairs as an image: those of one person in the left columns, those of two people in the right ones.

    Raises:
        InputError: matplotlib is not installed.
    """
    columns = [[pair for pair in pairs if pair.same is same] for same in (True, False)]
    rows = max(len(column) for column in columns)
    figure = _figure((7.2, 0.4 + 1.9 * rows))
    grid = figure.subplots(rows, 4, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for side, column in enumerate(columns):
        for row, pair in enumerate(column):
            what = "one person" if pair.same else "two people"
            labels = f"{what}, {pair.score:.3f}\n{Path(pair.names[0]).stem}", Path(pair.names[1]).stem
            for place in (0, 1):
                axes, image = grid[row][2 * side + place], pair.images[place]
                axes.set_title(labels[place], fontsize=6, pad=2)
                if image is not None:
                    axes.imshow(image)
    _save(figure, path)


def _figure(size: tuple[float, float]) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as cause:
        raise InputError("figures need the package matplotlib", hint=INSTALL) from cause
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path) -> None:
    with write_aside(path) as aside:
        figure.savefig(aside)
