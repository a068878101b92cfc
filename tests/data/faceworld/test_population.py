from __future__ import annotations

import pytest
import torch

from smoothswap.core.errors import ConfigError
from smoothswap.data.faceworld import APPEARANCE_FACTORS, SHAPE_FACTORS, Population, swap_pairs

S = len(SHAPE_FACTORS)


def test_deterministic_and_independent_of_the_count() -> None:
    torch.manual_seed(1)
    small = Population(seed=5, groups=2, people_per_group=3)
    torch.manual_seed(2)
    large = Population(seed=5, groups=4, people_per_group=6)
    assert torch.equal(small.identities[:3], large.identities[:3])
    assert torch.equal(small.identities[3:], large.identities[6:9])
    assert torch.equal(small.picture(4, 2).pose, large.picture(7, 2).pose)
    assert not torch.equal(small.identities, Population(seed=6, groups=2, people_per_group=3).identities)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    Population(seed=1, groups=2, people_per_group=2).picture(0, 0)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_group_shares_its_colouring_and_differs_in_shape() -> None:
    people = Population(seed=0, groups=3, people_per_group=4)
    assert people.group.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    for group in range(3):
        members = people.identities[people.group == group]
        assert (members[:, S:] == members[0, S:]).all()
        assert torch.pdist(members[:, :S]).min() > 3
    assert not torch.equal(people.identities[0, S:], people.identities[4, S:])
    assert people.identities.shape == (12, S + len(APPEARANCE_FACTORS))


def test_attributes_are_the_identities_standardised() -> None:
    people = Population(seed=0, groups=12, people_per_group=3)
    assert people.attributes.shape == people.identities.shape
    torch.testing.assert_close(people.attributes.mean(0), torch.zeros(people.identities.shape[1]), rtol=0, atol=1e-5)
    varied = people.identities.std(0) > 0.01
    assert varied.sum() > 45
    spread = people.attributes.square().mean(0).sqrt()
    torch.testing.assert_close(spread[varied], torch.ones(int(varied.sum())))
    # The same order of people as before, factor by factor.
    assert torch.equal(people.attributes[:, 3].argsort(), people.identities[:, 3].argsort())
    # What all people share, and all of one person alone, is 0 and no NaN.
    group = Population(seed=0, groups=1, people_per_group=3)
    torch.testing.assert_close(group.attributes[:, S:], torch.zeros(3, len(APPEARANCE_FACTORS)), rtol=0, atol=1e-3)
    assert Population(seed=0, groups=1, people_per_group=1).attributes.eq(0).all()


def test_held_out_people_are_others_in_the_same_groups() -> None:
    train, held = (Population(seed=0, groups=3, people_per_group=2, split=s) for s in ("train", "held_out_people"))
    assert torch.equal(train.identities[:, S:], held.identities[:, S:])
    assert torch.cdist(train.identities[:, :S], held.identities[:, :S]).min() > 1


def test_held_out_groups_are_others() -> None:
    train, held = (Population(seed=0, groups=3, people_per_group=2, split=s) for s in ("train", "held_out_groups"))
    assert torch.cdist(train.identities[:, S:], held.identities[:, S:]).min() > 0


def test_factors_are_in_their_ranges() -> None:
    people = Population(seed=0, groups=30, people_per_group=2)
    signed = [APPEARANCE_FACTORS.index(name) for name in ("hair_parting", "mark_x", "mark_y")]
    look = people.identities[:, S:].clone()
    look[:, signed] = look[:, signed] * 0.5 + 0.5
    assert look.min() >= 0
    assert look.max() <= 1
    assert people.identities[:, :S].abs().max() <= 2.5
    picture = people.picture(0, 0)
    assert picture.pose.abs()[0].le(torch.tensor([0.5, 0.3, 0.1])).all()


def test_pairs_are_of_different_people_and_half_of_one_group() -> None:
    people = Population(seed=0, groups=3, people_per_group=3, split="held_out_people")
    source, target = swap_pairs(people, 12, seed=1)
    assert not (source.identity == target.identity).all(1).any()
    same = (source.identity[:, S:] == target.identity[:, S:]).all(1)
    assert same.tolist() == [True, False] * 6
    again, _ = swap_pairs(people, 5, seed=1)
    assert torch.equal(again.identity, source.identity[:5])
    assert torch.equal(again.expression, source.expression[:5])


def test_pairs_where_only_one_kind_exists() -> None:
    source, target = swap_pairs(Population(groups=1, people_per_group=2), 4)
    assert not (source.identity == target.identity).all(1).any()


def test_errors() -> None:
    with pytest.raises(ConfigError, match="unknown split 'trian'"):
        Population(split="trian")
    with pytest.raises(ConfigError, match="0 groups"):
        Population(groups=0)
    with pytest.raises(ConfigError, match="different people from 1"):
        swap_pairs(Population(groups=1, people_per_group=1), 3)


def test_pairs_of_the_colouring_that_was_asked_for() -> None:
    people = Population(seed=0, groups=3, people_per_group=3)

    def alike(colouring: str) -> list[bool]:
        source, target = swap_pairs(people, 24, colouring=colouring)  # type: ignore[arg-type]
        assert not (source.identity == target.identity).all(1).any()
        return (source.identity[:, S:] == target.identity[:, S:]).all(1).tolist()

    assert all(alike("same"))
    assert not any(alike("other"))
    assert 0 < sum(alike("any")) < 12, "two of eight others share the colouring"
