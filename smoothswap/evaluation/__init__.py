"""Measuring: who is it, how near to the true swap, and what was kept."""

from __future__ import annotations

from smoothswap.evaluation.criteria import Criterion, Thresholds, number
from smoothswap.evaluation.fidelity import BackgroundPsnr, PsnrGain, psnr
from smoothswap.evaluation.measured import Measured
from smoothswap.evaluation.protocol import Protocol, weights_sha256
from smoothswap.evaluation.scene import Scene, draw_scene
from smoothswap.evaluation.similarity import IdentitySimilarity, nearer_to_source, similarity
from smoothswap.evaluation.swap_report import SwapReport, embed, swap_report
from smoothswap.evaluation.verification import auc, pair_scores, tar_at_far, verification_auc

__all__ = [
    "verification_auc", "auc", "tar_at_far", "pair_scores",
    "similarity", "nearer_to_source", "psnr", "embed",
    "swap_report", "SwapReport", "Measured", "Criterion", "Thresholds", "number", "Protocol", "weights_sha256",
    "Scene", "draw_scene",
    "IdentitySimilarity", "PsnrGain", "BackgroundPsnr",
]  # fmt: skip
