"""Which samples are in which batch; depends only on the seed and the number of the batch.

The order of epoch e is a permutation drawn from (seed, e); the augmentation of sample i in it is
drawn from (seed, e, i). So several processes together see what a single one with the same global
batch sees, and resuming at batch t needs no state but t.

As in both originals an epoch ends when no full global batch is left: its last samples are dropped,
different ones in every epoch.
"""

from dataclasses import dataclass

import numpy as np

from fastfcn_infer.errors import DatasetError


@dataclass(frozen=True)
class Draw:
    """One sample of one epoch.

    Args:
        epoch: counted from 0.
        index: of the sample in its data set.
    """

    epoch: int
    index: int


@dataclass(frozen=True)
class Sampler:
    """Selects the samples of each batch of this process.

    Args:
        samples: number of samples in the data set.
        batch: samples per batch of one process.
        seed: of order and augmentation; at least 0.
        rank: index of this process, from 0.
        world: number of processes.

    Raises:
        ValueError: impossible process, batch or seed.
        DatasetError: the data set is smaller than one global batch.
    """

    samples: int
    batch: int
    seed: int
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.batch < 1 or self.seed < 0 or not 0 <= self.rank < self.world:
            raise ValueError(
                f"batch {self.batch}, seed {self.seed}, rank {self.rank} of {self.world} processes; "
                "expected a batch of at least 1, a seed of at least 0, ranks from 0 to world - 1"
            )
        if self.batches_per_epoch == 0:
            raise DatasetError(
                f"the data set has {self.samples} samples; a batch of {self.batch} in each of "
                f"{self.world} processes needs {self.batch * self.world}; use a smaller batch"
            )

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches that each process sees in an epoch."""
        return self.samples // (self.batch * self.world)

    def draws(self, number: int) -> tuple[Draw, ...]:
        """List the samples of batch `number`, counted from 0."""
        epoch, position = divmod(number, self.batches_per_epoch)
        start = (position * self.world + self.rank) * self.batch
        chosen = self._generator(epoch).permutation(self.samples)[start : start + self.batch]
        return tuple(Draw(epoch, index) for index in chosen.tolist())

    def generator(self, draw: Draw) -> np.random.Generator:
        """Make the random generator for one sample of one epoch."""
        return self._generator(draw.epoch, draw.index)

    def _generator(self, *key: int) -> np.random.Generator:
        # spawn_key instead of one list, in which (s, e) and (s, e, 0) would give the same numbers.
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))
