"""The order of samples: a permutation an epoch, shared out among processes, the same again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfcn_infer.errors import DatasetError
from fastfcn_training.data.sampler import Draw, Sampler


@given(samples=st.integers(1, 50), batch=st.integers(1, 9), seed=st.integers(0, 2**40))
def test_an_epoch_shows_each_sample_at_most_once_and_leaves_out_less_than_a_batch(
    samples: int, batch: int, seed: int
) -> None:
    batch = min(batch, samples)
    sampler = Sampler(samples, batch, seed)
    for epoch in (0, 3):
        first = epoch * sampler.batches_per_epoch
        draws = [
            draw
            for number in range(sampler.batches_per_epoch)
            for draw in sampler.draws(first + number)
        ]
        seen = {draw.index for draw in draws}
        assert len(draws) == len(seen) > samples - batch
        assert seen <= set(range(samples))
        assert {draw.epoch for draw in draws} == {epoch}


@given(
    batch=st.integers(1, 4),
    world=st.integers(1, 4),
    more=st.integers(0, 30),
    number=st.integers(0, 40),
    seed=st.integers(0, 1000),
)
def test_processes_see_together_what_one_with_the_whole_batch_sees(
    batch: int, world: int, more: int, number: int, seed: int
) -> None:
    samples = batch * world + more
    alone = Sampler(samples, batch * world, seed).draws(number)
    shares = [Sampler(samples, batch, seed, rank, world).draws(number) for rank in range(world)]
    assert tuple(draw for share in shares for draw in share) == alone


def test_every_epoch_has_an_order_of_its_own_and_leaves_others_out() -> None:
    sampler = Sampler(samples=10, batch=4, seed=0)
    epochs = [sampler.draws(2 * epoch) + sampler.draws(2 * epoch + 1) for epoch in range(30)]
    orders = {tuple(draw.index for draw in draws) for draws in epochs}
    assert len(orders) == 30
    left_out = set[int]().union(
        *(set(range(10)) - {draw.index for draw in draws} for draws in epochs)
    )
    assert left_out == set(range(10))


def test_another_seed_gives_another_order() -> None:
    orders = {Sampler(100, 100, seed).draws(0) for seed in range(50)}
    assert len(orders) == 50


def test_no_two_samples_of_any_epochs_share_their_randomness() -> None:
    sampler = Sampler(samples=40, batch=1, seed=7)
    draws = [Draw(epoch, index) for epoch in range(40) for index in range(40)]
    numbers = {sampler.generator(draw).integers(2**62) for draw in draws}
    assert len(numbers) == len(draws)
    assert sampler.generator(Draw(0, 1)).integers(2**62) not in {
        replace(sampler, seed=seed).generator(Draw(0, 1)).integers(2**62) for seed in (6, 8)
    }


def test_what_happens_to_a_sample_depends_on_no_process() -> None:
    alone, second = Sampler(40, 8, seed=7), Sampler(40, 4, seed=7, rank=1, world=2)
    for draw in second.draws(3):
        assert second.generator(draw).random() == alone.generator(draw).random()


def test_a_data_set_smaller_than_a_batch_of_all_processes_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"7 samples.*batch of 4.*2 processes needs 8"):
        Sampler(samples=7, batch=4, seed=0, world=2)
    assert Sampler(samples=8, batch=4, seed=0, world=2).batches_per_epoch == 1


@pytest.mark.parametrize(
    ("batch", "seed", "rank", "world"), [(0, 0, 0, 1), (1, -1, 0, 1), (1, 0, 2, 2), (1, 0, -1, 1)]
)
def test_impossible_batches_seeds_and_ranks_are_refused(
    batch: int, seed: int, rank: int, world: int
) -> None:
    with pytest.raises(ValueError, match="expected"):
        Sampler(10, batch, seed, rank, world)
