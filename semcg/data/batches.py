"""Two domains together, and batch n of what one rank sees."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Self

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from semcg.data.scenes import Scenes

__all__ = ["Batches", "Unpaired"]


class Unpaired:
    """Two domains side by side, each in its own order and with its own crops.

    Parameters
    ----------
    source, target : Scenes
        Their lengths may differ.

    Attributes
    ----------
    epoch : int
        The longer of both lengths: that many items show every frame at least once.
    """

    def __init__(self, source: Scenes, target: Scenes):
        self.source, self.target = source, target
        self.epoch = max(len(source), len(target))

    def check_one_size(self) -> None:
        """Raise ValueError unless the items of either domain have one size."""
        self.source.check_one_size()
        self.target.check_one_size()

    def item(self, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return x_s, y_s, x_t, y_t of item k, as `Scenes.item` gives them."""
        # Streams keep the domains apart also when both have one seed and one length.
        return *self.source.item(k, stream=1), *self.target.item(k, stream=2)


class Batches:
    """Batch n as a function of n: `batches(n)` stacks the share of one rank.

    The items n * B * R .. n * B * R + B * R - 1 make batch n on R ranks of B items each; rank r gets the r-th
    B of them, in this order. With `workers`, that many processes load the following batches ahead. They are
    spawned, not forked: a fork of a process that holds threads or a GPU may hang. A script that uses them
    therefore needs `if __name__ == "__main__":`. Asking for another batch than the next one starts them
    again, there.

    Parameters
    ----------
    items : Scenes or Unpaired
        Or anything that has `item(k)` and `check_one_size()`, and can be pickled if there are workers.
    batch : int
        Items per rank, B.
    rank, ranks : int
        r and R.
    workers : int
        Loader processes; 0 loads in this one. The tensors are the same.

    Raises
    ------
    ValueError
        If a number is out of range, or items of different size cannot be stacked.
    """

    def __init__(
        self, items: Scenes | Unpaired, *, batch: int, rank: int = 0, ranks: int = 1, workers: int = 0
    ):
        if batch < 1 or workers < 0 or not 0 <= rank < ranks:
            raise ValueError(
                f"batch >= 1, workers >= 0, 0 <= rank < ranks, not {batch}, {workers}, {rank}, {ranks}"
            )
        if batch > 1:
            items.check_one_size()
        self.workers = workers
        self._share = _Share(items, batch, rank, ranks)
        self._stream: Iterator | None = None
        self._next = 0

    def __call__(self, n: int) -> tuple[Tensor, ...]:
        """Return the stacked parts of batch n: (x, y) of `Scenes`, (x_s, y_s, x_t, y_t) of `Unpaired`."""
        if n < 0:
            raise IndexError(f"batches are numbered from 0, not {n}")
        if self.workers == 0:
            return self._share[n]
        if self._stream is None or n != self._next:
            self.close()
            loader = DataLoader(
                self._share,
                batch_size=None,
                sampler=range(n, 2**62),
                num_workers=self.workers,
                multiprocessing_context="spawn",
                generator=torch.Generator(),  # else the loader takes a number from the global one
            )
            self._stream = iter(loader)
        self._next = n + 1
        return tuple(next(self._stream))

    def close(self) -> None:
        """End the loader processes, if any run."""
        if self._stream is None:
            return
        # A process that is ended in the middle of sending a batch is aborted by torch: take what is on its way first.
        for _ in range(self.workers * 2):
            with suppress(Exception):
                self._stream._try_get_data(timeout=0.1)
        # Dropping the stream would do, but not while the traceback of an error still refers to it.
        self._stream._shutdown_workers()
        self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()


class _Share(Dataset):
    """What one rank sees of each batch, by number."""

    def __init__(self, items, batch: int, rank: int, ranks: int):
        self.items, self.batch, self.rank, self.ranks = items, batch, rank, ranks

    def __getitem__(self, n: int) -> tuple[Tensor, ...]:
        first = (n * self.ranks + self.rank) * self.batch
        parts = zip(*(self.items.item(k) for k in range(first, first + self.batch)), strict=True)
        return tuple(torch.stack(part) for part in parts)
