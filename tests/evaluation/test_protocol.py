from __future__ import annotations

import dataclasses

import pytest
import torch

import smoothswap
from smoothswap.core.errors import InputError
from smoothswap.evaluation.protocol import Protocol, component_name
from smoothswap.modules.weights import weights_fingerprint

PROTOCOL = Protocol(
    judge="small_resnet",
    judge_weights_fingerprint="a",
    generator="smooth_unet",
    generator_weights_fingerprint="b",
    embedder="small_resnet",
    embedder_weights_fingerprint="c",
    pairs=64,
    split="held-out people",
    seed=0,
    size=64,
    supersample=2,
)


def test_figures_compare_when_only_the_model_differs() -> None:
    other = dataclasses.replace(PROTOCOL, generator="another", generator_weights_fingerprint="d")
    other = dataclasses.replace(other, embedder_weights_fingerprint="e")
    assert PROTOCOL.differences(other) == ()


def test_what_makes_figures_incomparable_is_named() -> None:
    other = dataclasses.replace(PROTOCOL, seed=1, judge_weights_fingerprint="x", face="the whole head")
    assert PROTOCOL.differences(other) == ("judge_weights_fingerprint", "seed", "face")


@pytest.mark.parametrize("further", [{}, {"sface": "d"}])
def test_a_stored_protocol_is_read_also_as_an_earlier_version_wrote_it(further: dict[str, str]) -> None:
    protocol = dataclasses.replace(PROTOCOL, further_judges_weights_fingerprint=further)
    stored = protocol.to_dict()
    assert Protocol.from_dict(stored) == protocol
    before = {key.replace("_weights_fingerprint", "_sha256"): value for key, value in stored.items()}
    before["further_judges"] = before.pop("further_judges_sha256")
    assert Protocol.from_dict(before) == protocol


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"judge": None}, "missing: judge"),
        ({"fps": 1}, "unknown: fps"),
        ({"judge_sha512": "a"}, "unknown: judge_sha512"),
    ],
)
def test_what_is_no_protocol_is_refused(change: dict[str, object], named: str) -> None:
    stored = {key: value for key, value in {**PROTOCOL.to_dict(), **change}.items() if value is not None}
    stored["seed"] = None
    with pytest.raises(InputError, match=named):
        Protocol.from_dict(stored)


def test_independence_is_told_from_the_weights_not_the_name() -> None:
    assert PROTOCOL.judge_is_independent
    assert not dataclasses.replace(PROTOCOL, judge="renamed", judge_weights_fingerprint="c").judge_is_independent


def test_digest_follows_the_weights() -> None:
    torch.manual_seed(0)
    one, other = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
    assert weights_fingerprint(one) != weights_fingerprint(other)
    other.load_state_dict(one.state_dict())
    assert weights_fingerprint(one) == weights_fingerprint(other)
    with torch.no_grad():
        other.weight[0, 0] += 0.01
    assert weights_fingerprint(one) != weights_fingerprint(other)


def test_digest_survives_storing_in_half_precision() -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    digest = weights_fingerprint(model)
    assert weights_fingerprint(model.half()) == digest
    assert weights_fingerprint(model.float()) == digest
    assert weights_fingerprint(model.state_dict()) == digest


def test_digest_sees_names_and_shapes() -> None:
    one = torch.nn.Linear(2, 3, bias=False)
    other = torch.nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        other.weight.copy_(one.weight.flatten().view(2, 3))
    assert weights_fingerprint(one) != weights_fingerprint(other)


def test_a_model_goes_by_the_name_it_was_built_with() -> None:
    model = smoothswap.build("small_resnet", input_size=16, dim=8)
    assert component_name(model) == "small_resnet"
    assert component_name(torch.nn.Linear(1, 1)) == "Linear"
