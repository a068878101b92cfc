"""Public functions of Python: every component with any options at tiny size, used once."""

from __future__ import annotations

from typing import Any

import torch
from fuzz.case import Case, Part
from fuzz.trees import VALUES
from hypothesis import strategies as st

import smoothswap
from smoothswap.core.catalogue import available, describe
from smoothswap.core.config import OptionInfo

_HEAVY = ("sface", "dlib_resnet", "dlib68", "projected", "features", "smooth_resnet50", "iresnet",
    "inception_resnet_v1", "torchvision_resnet50", "faceres")  # fmt: skip
_TINY: dict[str, dict[str, Any]] = {
    "generator": {"image_size": 16, "base_channels": 4, "channel_multipliers": (1, 1), "attention_resolutions": (),
        "identity_dim": 8},
    "discriminator": {"image_size": 16, "channel_base": 32, "channel_max": 8},
    "embedder": {"input_size": 16, "widths": (4, 4), "blocks": (1, 1), "dim": 8},
    "dataset": {"image_size": 8, "people": 4, "images_per_person": 1, "pairs": 4},
}  # fmt: skip
_NUMBERS = st.one_of(st.integers(-1, 9), st.sampled_from([16, 17, 24, 32, 33, 64]))
_FRACTIONS = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0, -1.0, 1e30, 1e-30]), st.floats(-2, 2))


def _value(info: OptionInfo) -> st.SearchStrategy[Any]:
    """Mostly of the option's type, and small; now and then anything."""
    if "one of" in info.type or "one of" in info.limits:
        text = info.type if "one of" in info.type else info.limits
        words = text.partition("one of ")[2].partition("]")[0].replace("[", "").replace("'", "").split(", ")
        usual: st.SearchStrategy[Any] = st.sampled_from([int(word) if word.isdecimal() else word for word in words])
    elif "tuple" in info.type:
        usual = st.lists(_FRACTIONS if "float" in info.type else _NUMBERS, max_size=4).map(tuple)
    elif "bool" in info.type:
        usual = st.booleans()
    elif "int" in info.type:
        usual = _NUMBERS
    elif "float" in info.type:
        usual = _FRACTIONS
    else:
        usual = st.sampled_from(["", "add", "adain", "people", "x"])
    return st.one_of(usual, usual, usual, VALUES)


@st.composite
def _component(draw: st.DrawFn) -> Case:
    rows = [row for row in available() if row.name not in _HEAVY and row.provider == "smoothswap"]
    row = draw(st.sampled_from(rows))
    infos = {info.name: info for info in describe(row.name, row.kind).options}
    options = {name: value for name, value in _TINY.get(row.kind, {}).items() if name in infos}
    for name in draw(st.lists(st.sampled_from(sorted(infos)), max_size=3, unique=True)) if infos else ():
        options[name] = draw(_value(infos[name]))
    if draw(st.integers(0, 19)) == 0:
        options[draw(st.sampled_from(["", "image_sizes", "x", "self", "name_"]))] = draw(VALUES)
    says = f"build({row.name!r}, {row.kind!r}, **{options!r})"[:3000]
    # Of a world, any number of people may be asked for.
    return Case(says, lambda: _use(row.kind, row.name, options), endless=row.kind == "dataset")


def _use(kind: str, name: str, options: dict[str, Any]) -> None:
    made = smoothswap.build(name, kind, **options)
    size = int(getattr(made.config, "image_size", getattr(made.config, "input_size", 16)))
    if size > 64:
        return
    images = torch.linspace(-1, 1, 2 * 3 * size * size).view(2, 3, size, size)
    if kind in ("embedder", "discriminator"):
        made.eval()(images)
    elif kind == "generator":
        made.eval()(images, torch.nn.functional.normalize(torch.ones(2, made.config.identity_dim), dim=1))
    elif kind == "dataset":
        made[len(made) - 1]


PART = Part(
    "components",
    "every component with random options at tiny size, built and used once",
    _component(),
    lambda: [describe(row.name, row.kind) for row in available()],
)
