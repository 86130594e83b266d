"""Images from the host to the device, some steps at a time, while the device computes.

What a step gets depends on the order and on the random keys alone: not on the number of processes
or threads that read, nor on how many steps are handed over at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.data.errors import DataError
from jaxnas.data.folders.file_images import FileImages
from jaxnas.data.resizing import random_resized_crop

_Images = np.ndarray | FileImages
"""uint8 [n, h, w, c], on the host."""

_Rows = dict[str, np.ndarray]
"""int32 [steps, batch], or [steps, seeds, batch]: which images of a part each step takes."""

_AHEAD = 2  # steps that wait for each process
_THREADS = 8  # of this process, each with a step that waits


class HostData(NamedTuple):
    """The parts of a data set on the host, for one epoch.

    Attributes:
      parts: images and labels int32 [n], by the name of the part.
      epoch: its number, by which random crops are drawn.
      crop_area: least share of an image's area in a random resized crop; None for whole images.
      workers: processes that read; 0 to read by threads of this one.
    """

    parts: dict[str, tuple[_Images, np.ndarray]]
    epoch: int = 0
    crop_area: float | None = None
    workers: int = 0

    def chunks(
        self, order: dict[str, Any], steps: int, keys: jax.Array | None = None, first: int = 0
    ) -> Iterator[tuple[dict[str, tuple[jax.Array, jax.Array]], dict[str, jax.Array]]]:
        """The images and labels of some steps after the other, on the device.

        Args:
          order: see `_Rows`; of parts that there are.
          steps: in a chunk; the last one may have fewer.
          keys: random key of each seed, [seeds] or scalar as `order` has or lacks that axis; for
            random crops.
          first: the step to begin with; what follows is what would follow it without.

        Yields:
          images uint8 [k, h, w, c] and labels int32 [k] by part, and the order of the chunk's
          steps, as indices into them.

        Raises:
          DataError: if an image cannot be read.
        """
        rows = {part: np.asarray(each) for part, each in order.items()}
        seeds = np.zeros((1, 0), np.uint32)
        if keys is not None:
            seeds = np.asarray(jax.random.key_data(keys)).reshape(-1, 2)
        read = self._read_steps(_Steps(self, rows, seeds), first)
        total = len(next(iter(rows.values())))
        with ThreadPoolExecutor(1) as pool:

            def load(start: int) -> Any:
                taken = [next(read) for _ in range(start, min(start + steps, total))]
                return self._on_device(rows, start, taken)

            starts = range(first, total, steps)
            ahead = pool.submit(load, first) if starts else None
            for start in starts:
                assert ahead is not None
                now = ahead.result()
                if start + steps < total:
                    ahead = pool.submit(load, start + steps)
                yield now
                del now

    def _read_steps(self, source: _Steps, first: int) -> Iterator[dict[str, np.ndarray]]:
        grain = import_module("grain")
        steps = grain.MapDataset.source(source)[first:]
        threads = 1 if self.workers else _THREADS
        read = steps.to_iter_dataset(grain.ReadOptions(threads, prefetch_buffer_size=threads))
        if self.workers:
            flags = import_module("absl.flags").FLAGS
            if not flags.is_parsed():  # grain reads its own, and the command line is not absl's
                flags.mark_as_parsed()
            options = grain.MultiprocessingOptions(self.workers, per_worker_buffer_size=_AHEAD)
            read = read.mp_prefetch(options)
        return iter(read)

    def _on_device(self, rows: _Rows, start: int, taken: list[dict[str, np.ndarray]]) -> Any:
        """A chunk of steps, from the step `start` on."""
        data, order = {}, {}
        for part, each in rows.items():
            of_chunk = each[start : start + len(taken)]
            images = np.concatenate([step[part] for step in taken])
            labels = self.parts[part][1][of_chunk.reshape(-1)]
            data[part] = jnp.asarray(images), jnp.asarray(labels)
            local = np.arange(of_chunk.size, dtype=np.int32).reshape(of_chunk.shape)
            order[part] = jnp.asarray(local)
        return data, order


class _Steps:
    """What grain reads from: the images of each step, by part."""

    def __init__(self, data: HostData, rows: _Rows, seeds: np.ndarray) -> None:
        self._data, self._rows, self._seeds = data, rows, seeds

    def __len__(self) -> int:
        return len(next(iter(self._rows.values())))

    def __getitem__(self, step: Any) -> dict[str, np.ndarray]:
        return {part: self._images(part, rows[int(step)]) for part, rows in self._rows.items()}

    def _images(self, part: str, rows: np.ndarray) -> np.ndarray:
        """uint8 [seeds * batch, h, w, c]."""
        images, area = self._data.parts[part][0], self._data.crop_area
        if area is None:
            return np.stack([_one(images, index) for index in rows.reshape(-1)])
        side = images.shape[1]
        cropped = []
        for key, own in zip(self._seeds, rows.reshape(len(self._seeds), -1), strict=True):
            for index in own.tolist():
                draw = np.random.default_rng([*key.tolist(), self._data.epoch, index])
                whole = images.whole(index) if isinstance(images, FileImages) else images[index]
                cropped.append(random_resized_crop(draw, whole, side, area))
        return np.stack(cropped)


def _one(images: _Images, index: int) -> np.ndarray:
    return images.decoded(index) if isinstance(images, FileImages) else images[index]


def refuse_no_grain() -> None:
    """Raises a DataError unless grain is installed."""
    try:
        import_module("grain")
    except ImportError as error:
        raise DataError(
            f'data on the host needs grain ({error}): pip install "jaxnas[grain]".'
        ) from error
