"""Photographs: find faces, align them, swap them, paste them back, and say so in the picture."""

# ruff: noqa: E402  (one sentence about what is missing comes before the imports that would fail)

from smoothswap.core.extras import require

require("photos")

from smoothswap.pipeline.align import AlignReport, align_folder
from smoothswap.pipeline.embed import EmbedReport, embed_folder
from smoothswap.pipeline.face import Face, Landmarker
from smoothswap.pipeline.face_template import choose_face, cut_face, template_square
from smoothswap.pipeline.ffhq import Square, arcface_square, crop, ffhq_square
from smoothswap.pipeline.inspection import Inspection, inspect_file
from smoothswap.pipeline.mark import Mark, Marker
from smoothswap.pipeline.paste import paste
from smoothswap.pipeline.picture import Picture
from smoothswap.pipeline.swap import SwapOutcome, SwapResult, swap_file, swap_pictures

__all__ = [
    "swap_file", "swap_pictures", "SwapOutcome", "SwapResult",
    "Picture", "inspect_file", "Inspection", "Mark", "Marker",
    "align_folder", "AlignReport",
    "embed_folder", "EmbedReport",
    "Face", "Landmarker", "Square", "ffhq_square", "arcface_square", "template_square", "cut_face", "choose_face",
    "crop", "paste",
]  # fmt: skip
