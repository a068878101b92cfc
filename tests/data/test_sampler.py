"""Samplers: what a batch holds, that every picture comes, and that a restored one continues."""

from __future__ import annotations

import itertools
from collections import Counter
from functools import partial
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smoothswap.core.errors import CheckpointError, ConfigError
from smoothswap.data import sampler as sampler_module
from smoothswap.data.sampler import BatchSampler, PKSampler, ShuffleSampler
from smoothswap.data.shuffle import shuffled

COUNTS = (7, 3, 12, 1, 5)
LABELS = torch.repeat_interleave(torch.arange(5), torch.tensor(COUNTS))[torch.randperm(28)]


def take(sampler: BatchSampler, count: int) -> list[list[int]]:
    return list(itertools.islice(sampler, count))


def samplers() -> list[BatchSampler]:
    return [ShuffleSampler(10, 4, seed=1), PKSampler(LABELS, 2, 3, seed=1)]


def test_shuffle_gives_each_picture_once_a_pass() -> None:
    stream = [i for batch in take(ShuffleSampler(10, 4, seed=3), 15) for i in batch]
    passes = [stream[i : i + 10] for i in range(0, 60, 10)]
    assert all(sorted(order) == list(range(10)) for order in passes)
    assert len({tuple(order) for order in passes}) == 6, "every pass has its own order"


def test_shuffle_with_batches_larger_than_the_set() -> None:
    batch = next(iter(ShuffleSampler(3, 8)))
    assert len(batch) == 8
    assert set(batch) == {0, 1, 2}


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=9),
    people=st.integers(1, 9),
    images=st.integers(1, 5),
    seed=st.integers(0, 2**40),
)
def test_pk_batches(counts: list[int], people: int, images: int, seed: int) -> None:
    people = min(people, len(counts))
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    sampler = PKSampler(labels, people, images, seed)
    batches = take(sampler, sampler.batches_per_epoch)
    for batch in batches:
        assert len(batch) == people * images == sampler.batch_size
        groups = [batch[i : i + images] for i in range(0, len(batch), images)]
        owners = [{int(labels[i]) for i in group} for group in groups]
        assert all(len(owner) == 1 for owner in owners), "K pictures in a row are of one person"
        assert len(set.union(*owners)) == people, "no person twice"
        for group, owner in zip(groups, owners, strict=True):
            assert len(set(group)) == min(images, counts[owner.pop()]), "a picture repeats only where there are too few"
    assert {i for batch in batches for i in batch} == set(range(len(labels))), "every picture comes"


def test_pk_draws_people_equally_often() -> None:
    sampler = PKSampler(LABELS, 2, 3, seed=0)
    rounds = 40
    drawn = Counter(int(LABELS[batch[i]]) for batch in take(sampler, 3 * rounds) for i in (0, 3))
    assert min(drawn.values()) >= rounds
    assert max(drawn.values()) <= rounds * 1.6, "one extra place a round is shared out by chance"


def test_pk_first_visits_go_through_the_deck() -> None:
    labels = torch.repeat_interleave(torch.arange(4), 6)
    batches = take(PKSampler(labels, 4, 2, seed=5), 6)
    for half in (batches[:3], batches[3:]):
        assert sorted(i for batch in half for i in batch) == list(range(24))


def test_labels_need_no_order_and_no_range() -> None:
    labels = torch.tensor([900, -4, 900, -4, 17, 17])
    batch = next(iter(PKSampler(labels, 3, 2)))
    assert sorted(batch) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("which", [0, 1])
def test_same_seed_same_batches(which: int) -> None:
    assert take(samplers()[which], 20) == take(samplers()[which], 20)


def test_other_seed_other_batches() -> None:
    assert take(ShuffleSampler(10, 4, seed=1), 5) != take(ShuffleSampler(10, 4, seed=2), 5)
    assert take(PKSampler(LABELS, 2, 3, seed=1), 5) != take(PKSampler(LABELS, 2, 3, seed=2), 5)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("steps", [0, 1, 7, 30])
def test_restored_sampler_continues(which: int, steps: int) -> None:
    original, other = samplers()[which], samplers()[which]
    take(original, steps)
    take(other, 3)
    other.restore(original.state())
    assert take(other, 10) == take(original, 10)


def test_state_is_that_of_the_batches_given() -> None:
    sampler = ShuffleSampler(10, 4)
    iterator = iter(sampler)
    next(iterator)
    next(iterator)
    assert sampler.state()["position"] == 2
    assert sampler.batch_at(2) == next(iterator)


def test_state_of_another_set_is_refused() -> None:
    state = ShuffleSampler(10, 4, seed=1).state()
    with pytest.raises(CheckpointError, match="the saved sampler has pictures 10, this one 11"):
        ShuffleSampler(11, 4, seed=1).restore(state)
    with pytest.raises(CheckpointError, match="seed 1, this one 2"):
        ShuffleSampler(10, 4, seed=2).restore(state)
    with pytest.raises(CheckpointError, match="batch_size 4, this one 5"):
        ShuffleSampler(10, 5, seed=1).restore(state)
    with pytest.raises(CheckpointError, match="people None, this one 5"):
        PKSampler(LABELS, 2, 3, seed=1).restore({**state, "pictures": 28})


@pytest.mark.parametrize("processes", [2, 3, 4, 5])
def test_processes_share_each_batch_out(processes: int) -> None:
    for make, parts in ((partial(PKSampler, LABELS, 5, 3), 5), (partial(ShuffleSampler, 28, 7), 7)):
        whole = take(make(), 12)
        shares = [take(make(rank=rank, world_size=processes), 12) for rank in range(processes)]
        assert [list(chain(*turn)) for turn in zip(*shares, strict=True)] == whole
        sizes = [len(share[0]) * parts // len(whole[0]) for share in shares]
        assert sum(sizes) == parts
        assert max(sizes) - min(sizes) <= 1, "shares differ by one part at most"


def test_a_person_s_pictures_stay_in_one_process() -> None:
    shares = [PKSampler(LABELS, 5, 3, rank=rank, world_size=3).batch_at(4) for rank in range(3)]
    assert [len({int(LABELS[i]) for i in share}) for share in shares] == [2, 2, 1]


def test_the_number_of_processes_may_change_on_the_way() -> None:
    whole = take(PKSampler(LABELS, 4, 2, seed=9), 10)
    two = PKSampler(LABELS, 4, 2, seed=9, rank=1, world_size=2)
    take(two, 5)
    later = [PKSampler(LABELS, 4, 2, seed=9, rank=rank, world_size=4) for rank in range(4)]
    for sampler in later:
        sampler.restore(two.state())
    assert [list(chain(*turn)) for turn in zip(*(take(sampler, 5) for sampler in later), strict=True)] == whole[5:]


def test_nobody_comes_before_the_round_is_through() -> None:
    labels = torch.arange(10).repeat_interleave(4)
    sampler = PKSampler(labels, 4, 2, seed=3)
    orders = set()
    for round_ in range(6):
        people = [int(labels[i]) for number in range(3) for i in sampler.indices(3 * round_ + number)[::2]]
        assert set(people[:10]) == set(range(10)), "everybody once"
        assert set(people[10:]) <= set(people[:8]), "the last batch is filled with people of earlier ones"
        orders.add(tuple(people))
    assert len(orders) == 6


def test_few_pictures_repeat_evenly() -> None:
    labels = torch.tensor([0] * 3 + [1] * 8)
    batch = next(iter(PKSampler(labels, 2, 8)))
    assert sorted(Counter(i for i in batch if i < 3).values()) == [2, 3, 3]
    assert sorted(i for i in batch if i >= 3) == list(range(3, 11))


def test_a_batch_does_not_shuffle_what_it_does_not_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        sampler_module, "shuffled", lambda places, *rest: asked.append(np.size(places)) or shuffled(places, *rest)
    )
    labels = torch.arange(2_000).repeat_interleave(100)
    PKSampler(labels, 8, 4).indices(17)
    assert asked == [8, 32], "8 people and their 32 pictures, of 2,000 and 200,000"
    asked.clear()
    ShuffleSampler(200_000, 32).indices(5_000)
    assert asked == [32]


def test_state_of_an_earlier_way_to_draw_is_refused() -> None:
    state = PKSampler(LABELS, 2, 3).state()
    del state["scheme"]
    with pytest.raises(CheckpointError, match="scheme None, this one 2"):
        PKSampler(LABELS, 2, 3).restore(state)


def test_errors() -> None:
    with pytest.raises(
        ConfigError, match=r"a batch of 2 cannot be shared out to 3 processes(?s:.*)at most 2 processes"
    ):
        PKSampler(LABELS, 2, 2, world_size=3)
    with pytest.raises(ConfigError, match="a batch of 1 cannot be shared out to 2"):
        ShuffleSampler(8, 1, world_size=2)
    with pytest.raises(ConfigError, match="a batch of 6 people cannot be drawn from 5"):
        PKSampler(LABELS, 6, 2)
    with pytest.raises(ConfigError, match="0 people with 2 pictures"):
        PKSampler(LABELS, 0, 2)
    with pytest.raises(ConfigError, match="labels must be integers"):
        PKSampler(LABELS.float(), 2, 2)
    with pytest.raises(ConfigError, match="batches of 4 from 0 pictures"):
        ShuffleSampler(0, 4)
    with pytest.raises(ConfigError, match="seed of a sampler cannot be -1"):
        ShuffleSampler(4, 4, seed=-1)
    with pytest.raises(ConfigError, match="rank 2 is outside"):
        ShuffleSampler(4, 4, rank=2, world_size=2)


def test_people_of_a_group_come_together() -> None:
    labels = torch.arange(24).repeat_interleave(3)
    groups = torch.arange(24) // 6  # four groups of six
    sampler = PKSampler(labels, 6, 2, seed=4, groups=groups, people_per_group=3)
    for number in range(3 * sampler.batches_per_round):
        people = {int(labels[i]) for i in sampler.indices(number)}
        counts = torch.bincount(groups[sorted(people)], minlength=4)
        assert len(people) == 6
        assert set(counts.tolist()) <= {0, 3, 6}
    visited = {int(labels[i]) for number in range(sampler.batches_per_round) for i in sampler.indices(number)}
    assert visited == set(range(24))


def test_look_alikes_fill_the_last_batch_together() -> None:
    labels = torch.arange(20)
    sampler = PKSampler(labels, 6, 1, seed=1, groups=torch.arange(20) // 4, people_per_group=2)
    for round_ in range(5):
        batch = sampler.indices(sampler.batches_per_round * (round_ + 1) - 1)
        assert len(set(batch)) == 6
        assert set(torch.bincount(torch.tensor(batch) // 4).tolist()) <= {0, 2, 4}


def test_groups_of_all_sizes() -> None:
    sizes = torch.tensor([1, 5, 2, 9, 1])
    groups = torch.repeat_interleave(torch.tensor([7, 3, 0, 12, 5]), sizes)[torch.randperm(18)]
    sampler = PKSampler(torch.arange(18), 3, 1, seed=2, groups=groups, people_per_group=3)
    orders = [list(chain(*(sampler.indices(6 * round_ + i) for i in range(6)))) for round_ in range(4)]
    for order in orders:
        assert sorted(order) == list(range(18))
        names = [int(groups[i]) for i in order]
        runs = Counter(name for i, name in enumerate(names) if i == 0 or names[i - 1] != name)
        assert all(runs[name] <= -(-int((groups == name).sum()) // 3) for name in runs)
    assert len({tuple(order) for order in orders}) == 4


def test_groups_of_another_length_are_refused() -> None:
    with pytest.raises(ConfigError, match="groups has 3 entries, but there are 4 people"):
        PKSampler(torch.arange(4), 2, 1, groups=torch.zeros(3, dtype=torch.long), people_per_group=2)
