"""Measuring: who is it, how near to the true swap, and what was kept."""

from __future__ import annotations

from smoothswap.evaluation.criteria import Criterion, number
from smoothswap.evaluation.estimates import Share
from smoothswap.evaluation.fidelity import psnr
from smoothswap.evaluation.gradient_consistency import gradient_consistency
from smoothswap.evaluation.identification import Identification, identify
from smoothswap.evaluation.measured import Likeness, Measured
from smoothswap.evaluation.neighbours import nearest
from smoothswap.evaluation.pair_list import ImagePair, PairList, read_pairs
from smoothswap.evaluation.pair_verification import (
    PairVerification,
    equal_error_rate,
    listed_scores,
    roc,
    verify_listed,
)
from smoothswap.evaluation.protocol import Protocol
from smoothswap.evaluation.report import SwapReport
from smoothswap.evaluation.scene import Scene, draw_scene
from smoothswap.evaluation.sharpness import detail
from smoothswap.evaluation.similarity import nearer_to_source, similarity
from smoothswap.evaluation.smoothness import Walk, alignment, pairs_of_two_people, slerp, uniformity, walk
from smoothswap.evaluation.swap_report import embed, swap_report
from smoothswap.evaluation.thresholds import AlikeThresholds, Thresholds
from smoothswap.evaluation.verification import Verification, auc, pair_scores, tar_at_far, verification_auc, verify
from smoothswap.modules.weights import weights_fingerprint

__all__ = [
    "verify", "Verification", "verification_auc", "auc", "tar_at_far", "pair_scores",
    "read_pairs", "PairList", "ImagePair", "verify_listed", "PairVerification", "listed_scores", "roc",
    "equal_error_rate",
    "identify", "Identification", "nearest",
    "alignment", "uniformity", "walk", "Walk", "slerp", "pairs_of_two_people", "gradient_consistency",
    "similarity", "nearer_to_source", "psnr", "detail", "embed",
    "swap_report", "SwapReport", "Measured", "Likeness", "Share",
    "Criterion", "Thresholds", "AlikeThresholds", "number", "Protocol", "weights_fingerprint",
    "Scene", "draw_scene",
]  # fmt: skip
