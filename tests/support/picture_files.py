"""Data sets in files of pictures."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, side: int = 8, mode: str = "RGB") -> Image.Image:
    shape = (side, side) if mode == "L" else (side, side, len(mode))
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def save(path: Path, image: Image.Image) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return np.asarray(Image.open(path))


def tiny_imagenet(root: Path) -> dict[str, np.ndarray]:
    """Tiny ImageNet's folder with two classes; what each file holds."""
    written = {}
    for label, wnid in enumerate(["n02", "n01"]):
        for i in range(3):
            name = f"train/{wnid}/images/{wnid}_{i}.JPEG"
            mode = "L" if i == 1 else "RGB"
            written[name] = save(root / name, picture(10 * label + i, 64, mode))
        (root / f"train/{wnid}/{wnid}_boxes.txt").write_text("")
    for i in range(2):
        written[f"val_{i}"] = save(root / f"val/images/val_{i}.JPEG", picture(50 + i, 64))
    annotations = "val_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn01\t0\t0\t9\t9\n"
    (root / "val/val_annotations.txt").write_text(annotations)
    (root / "test/images").mkdir(parents=True)
    (root / "wnids.txt").write_text("n02\nn01\n")
    (root / "words.txt").write_text("n00\tentity\nn01\ttench, Tinca tinca\nn02\tgoldfish\n")
    return written
