"""The memory that images on the host take does not grow with their number."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIDE = 96

READ = r"""
import re, sys
from pathlib import Path
from jaxnas.data import epoch_permutation, load
from jaxnas.data.host.stream import HostData
import jax

on_host = sys.argv[2] == "host"
dataset = load(sys.argv[1], image_size=96, test_share=0.1, on_host=on_host)
dataset.fingerprint
count, seen = len(dataset.train_labels), 0
order = {"train": epoch_permutation(jax.random.key(0), count, 50)}
if on_host:
    parts = {"train": (dataset.train_images, dataset.train_labels)}
    for data, _ in HostData(parts).chunks(order, 4):
        seen += int(data["train"][0].shape[0])
    assert seen == count // 50 * 50
status = Path("/proc/self/status").read_text()
# Of this program alone: getrusage's peak begins with that of the process that started it.
print(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024)
"""


def peak(folder: Path, where: str) -> float:
    """MiB of a process that reads the folder once through."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder), where],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    return float(done.stdout)


@pytest.mark.slow
def test_the_peak_of_20000_jpegs_is_that_of_2000(tmp_path: Path):
    pytest.importorskip("grain")
    draw = np.random.default_rng(0)
    for count in (2_000, 20_000):
        for label in range(2):
            (tmp_path / str(count) / f"class_{label}").mkdir(parents=True)
        for number in range(count):
            pixels = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            image = Image.fromarray(pixels).resize((SIDE + number % 30, SIDE))
            image.save(tmp_path / str(count) / f"class_{number % 2}" / f"{number}.jpg")
    few, many = (peak(tmp_path / str(count), "host") for count in (2_000, 20_000))
    whole = peak(tmp_path / "20000", "device")
    images = 18_000 * SIDE**2 * 3 / 2**20  # MiB of the difference, were it in memory
    print(f"peak of 2,000: {few:.0f} MiB, of 20,000: {many:.0f}, of 20,000 in memory: {whole:.0f}")
    assert many - few < 0.2 * images  # paths and what their files say of themselves
    assert whole - many > 0.6 * images
