"""What the reader of a data set decides: size of the images, the test part, broken files."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import numpy as np

from jaxnas.data.errors import DataError
from jaxnas.randomness import stream


@dataclass(frozen=True)
class Reading:
    """How a data set is read where its form leaves it open.

    Attributes:
      image_size: side in pixels of the square that every image becomes (`resizing.fit`); None for
        the images' own size, which has to be one.
      crop_share: side of that square as a share of the resized image's shorter side: 0.875 of 256
        is ImageNet's 224.
      test_share: share of each class's images that becomes the test part of a data set that has
        none; None to refuse such a data set.
      test_seed: seed by which these images are drawn.
      skip_broken: whether files that cannot be decoded are left out, and told in the notes, in
        place of being refused.
      on_host: whether images stay in their files, or as arrays in the host's memory, and are read
        step by step as training goes, for data larger than memory.
      workers: number of processes that read them then; 0 for threads of this one.
      rgb: whether grey images get three equal channels, as weights from colour images need.

    Raises:
      DataError: for values that cannot be.
    """

    image_size: int | None = None
    crop_share: float = 1.0
    test_share: float | None = None
    test_seed: int = 0
    skip_broken: bool = False
    rgb: bool = False
    on_host: bool = False
    workers: int = 0

    def __post_init__(self) -> None:
        size = self.image_size
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise DataError(f"--image-size must be a whole number of pixels above 0, not {size!r}.")
        for name in ("crop_share", "test_share"):
            share = getattr(self, name)
            if isinstance(share, bool) or not isinstance(share, int | float | None):
                raise DataError(f"--{name.replace('_', '-')} must be a number, not {share!r}.")
        if not 0 < self.crop_share <= 1:
            raise DataError(f"--crop-share must be above 0 and at most 1, not {self.crop_share}.")
        if self.crop_share != 1 and size is None:
            raise DataError("--crop-share is a share of --image-size: give that too.")
        if self.test_share is not None and not 0 < self.test_share < 1:
            raise DataError(f"--test-share must be between 0 and 1, not {self.test_share}.")
        if not 0 <= self.workers <= 256:
            raise DataError(f"--data-workers must be from 0 to 256, not {self.workers}.")
        if self.workers and not self.on_host:
            raise DataError("--data-workers read for --data-on host: give that too.")
        if not 0 <= self.test_seed < 2**32:
            raise DataError("--test-seed must be a whole number from 0 to 2**32 - 1.")

    def draw_test(self, name: str, labels: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray:
        """Which images of a data set without a test part become it: class by class, at random.

        Of a class's n images it is round(test_share * n), but at least one, and at most all but
        one.

        Args:
          name: of the data set.
          labels: int [n].
          class_names: by label.

        Returns:
          bool [n]; equal for equal labels, share and seed.

        Raises:
          DataError: if there is no share to draw, or a class has but one image.
        """
        if self.test_share is None:
            raise DataError(f"{name} has no test part: say --test-share 0.2, or give it one.")
        for label, count in enumerate(np.bincount(labels, minlength=len(class_names)).tolist()):
            if count < 2:
                raise DataError(
                    f"{name}'s class {class_names[label]!r} has {count or 'no'} image"
                    f"{'s' * (not count)}: --test-share takes one of at least 2, so add some or "
                    "remove the class."
                )
        key = stream(jax.random.key(self.test_seed), "test share")
        order = np.asarray(jax.random.permutation(key, len(labels)))
        chosen = np.zeros(len(labels), bool)
        for label in range(len(class_names)):
            of_class = order[labels[order] == label]
            wanted = math.floor(self.test_share * len(of_class) + 0.5)
            chosen[of_class[: min(max(1, wanted), len(of_class) - 1)]] = True
        return chosen

    def refuse_drawing(self, name: str) -> None:
        """Raises a DataError if a test part is to be drawn of a data set that has one."""
        if self.test_share is not None:
            raise DataError(f"{name} has a test part of its own: leave out --test-share.")
