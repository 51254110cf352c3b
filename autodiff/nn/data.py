"""Data in batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autodiff.nn.initialisers import Array


class DataLoader:
    """Arrays in batches along their first axis, in an order that is drawn anew each time.

    Gives tuples, an array of each. The last batch is smaller where the rest is, unless drop_last.
    Raises ValueError for arrays that are not of one length. Source: step 50 of the book.
    """

    def __init__(
        self,
        *arrays: Array,
        batch_size: int,
        shuffle: bool = True,
        drop_last: bool = False,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.length = _one_length(arrays)
        if batch_size < 1:
            raise ValueError(f"a batch has at least 1 example, not {batch_size}")
        self.arrays, self.batch_size = arrays, batch_size
        self.shuffle, self.drop_last = shuffle, drop_last
        self.rng = rng or np.random.default_rng()

    def __len__(self) -> int:
        """How many batches there are."""
        spare = 0 if self.drop_last else self.batch_size - 1
        return (self.length + spare) // self.batch_size

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        order = self.rng.permutation(self.length) if self.shuffle else np.arange(self.length)
        for i in range(len(self)):
            chosen = order[i * self.batch_size : (i + 1) * self.batch_size]
            yield tuple(array[chosen] for array in self.arrays)


class SeqDataLoader:
    """Sequences in batches: each row of a batch goes on where it was in the batch before.

    A sequence is cut into as many parts as a batch has rows, of which each goes on side by side
    with the others. Source: step 60 of the book.
    """

    def __init__(self, *arrays: Array, batch_size: int) -> None:
        self.length = _one_length(arrays) // batch_size
        self.arrays = arrays
        self.starts = np.arange(batch_size) * self.length

    def __len__(self) -> int:
        """How many batches there are: the steps of each part."""
        return self.length

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        for i in range(self.length):
            yield tuple(array[self.starts + i] for array in self.arrays)


def _one_length(arrays: tuple[Array, ...]) -> int:
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1:
        raise ValueError(f"arrays of one length are needed, not of {sorted(lengths)}")
    return lengths.pop()
