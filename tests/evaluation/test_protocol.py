from __future__ import annotations

import dataclasses

import torch

import smoothswap
from smoothswap.evaluation.protocol import Protocol, component_name
from smoothswap.modules.weights import weights_sha256

PROTOCOL = Protocol(
    judge="small_resnet",
    judge_sha256="a",
    generator="smooth_unet",
    generator_sha256="b",
    embedder="small_resnet",
    embedder_sha256="c",
    pairs=64,
    split="held-out people",
    seed=0,
    size=64,
    supersample=2,
)


def test_figures_compare_when_only_the_model_differs() -> None:
    other = dataclasses.replace(PROTOCOL, generator="another", generator_sha256="d", embedder_sha256="e")
    assert PROTOCOL.differences(other) == ()


def test_what_makes_figures_incomparable_is_named() -> None:
    other = dataclasses.replace(PROTOCOL, seed=1, judge_sha256="x", face="the whole head")
    assert PROTOCOL.differences(other) == ("judge_sha256", "seed", "face")


def test_independence_is_told_from_the_weights_not_the_name() -> None:
    assert PROTOCOL.judge_is_independent
    assert not dataclasses.replace(PROTOCOL, judge="renamed", judge_sha256="c").judge_is_independent


def test_digest_follows_the_weights() -> None:
    torch.manual_seed(0)
    one, other = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
    assert weights_sha256(one) != weights_sha256(other)
    other.load_state_dict(one.state_dict())
    assert weights_sha256(one) == weights_sha256(other)
    with torch.no_grad():
        other.weight[0, 0] += 0.01
    assert weights_sha256(one) != weights_sha256(other)


def test_digest_survives_storing_in_half_precision() -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    digest = weights_sha256(model)
    assert weights_sha256(model.half()) == digest
    assert weights_sha256(model.float()) == digest


def test_digest_sees_names_and_shapes() -> None:
    one = torch.nn.Linear(2, 3, bias=False)
    other = torch.nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        other.weight.copy_(one.weight.flatten().view(2, 3))
    assert weights_sha256(one) != weights_sha256(other)


def test_a_model_goes_by_the_name_it_was_built_with() -> None:
    model = smoothswap.build("small_resnet", input_size=16, dim=8)
    assert component_name(model) == "small_resnet"
    assert component_name(torch.nn.Linear(1, 1)) == "Linear"
