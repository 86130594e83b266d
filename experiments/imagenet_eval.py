"""Top-1 and top-5 accuracy of given weights on ImageNet's validation images.

    python experiments/imagenet_eval.py --weights mnasnet_100.safetensors --data-dir imagenet
    python experiments/imagenet_eval.py --weights resnet50-11ad3fa6.pth --base resnet50

The protocol: the shorter side resized to 256 pixels (Pillow's bicubic), the middle 224 cut out,
each image once. Weights are a safetensors file of timm's, or one that a run of jaxnas left; with
--base also torchvision's, and what else `nn.import_weights` reads. The images are read from
val/ID/*, ID a WordNet id, and need grain (`pip install "jaxnas[grain]"`).
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import data, nn, training
from jaxnas.cli.output import refuse_no_folder, write
from jaxnas.commands.script import run_script
from jaxnas.data.errors import BrokenImageError
from jaxnas.data.folders import imagenet_validation
from jaxnas.data.host import HostData, refuse_no_grain
from jaxnas.nn.weights.pretrained import import_by_flags
from jaxnas.nn.weights.safetensors_file import load_image_form, read_safetensors
from jaxnas.reports.classification import label_ranks
from jaxnas.runs.genotype_files import load_base
from jaxnas.runs.load import OutputsError
from jaxnas.tasks import supervised


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Weights, and the images that judge them."""

    weights: Path
    """The weights: a safetensors file of a network of timm's that `nn.import_timm` knows, or of
    jaxnas's own; with --base any file that `nn.import_weights` reads."""
    base: str | None = None
    """The network whose weights they are: a name of the zoo, or the path of a genotype.json."""
    data_dir: Path = Path("data")
    """The folder of ImageNet, or the one that holds its folder imagenet."""
    image_size: int = 224
    """Side in pixels of the square that each image becomes."""
    crop_share: float = 0.875
    """Side of that square as a share of the resized image's shorter side."""
    mean: tuple[float, float, float] | None = None
    """Mean of each channel by which the weights' training normalised images, in 0..1; by default
    the one of their source, ImageNet's where it is not known."""
    std: tuple[float, float, float] | None = None
    """Standard deviation of each channel likewise."""
    limit: int | None = None
    """Number of images to judge by, spread evenly over the classes; by default all."""
    batch_size: int = 100
    """Number of images in a batch."""
    workers: int = 0
    """Number of processes that read images; 0 for threads."""
    out: Path | None = None
    """A JSON file for the result."""


def main(flags: Evaluation) -> None:
    """Prints the accuracies."""
    refuse_no_grain()
    if flags.out is not None:
        refuse_no_folder(flags.out)
    side = flags.image_size
    reading = data.Reading(image_size=side, crop_share=flags.crop_share)
    images, labels = imagenet_validation(flags.data_dir, reading)
    classes = int(labels.max()) + 1
    if flags.limit is not None:
        rows = np.linspace(0, len(labels) - 1, min(flags.limit, len(labels))).astype(int)
        images, labels = images[rows], labels[rows]
    network, variables, *source = _network(flags.weights, flags.base, (side, side, 3))
    if network.outputs != classes:
        raise nn.WeightsError(
            f"{flags.weights} tells {network.outputs} classes apart, and the images have {classes}"
        )
    mean, std = (
        np.asarray(given or known or usual, np.float32)
        for given, known, usual in zip((flags.mean, flags.std), source, data.IMAGENET, strict=True)
    )
    task = supervised(classes, mean, std, data.Augmentation())._replace(score=top_scores)
    evaluate = training.evaluator(training.flax_apply(network), task, flags.batch_size)
    read = HostData({"all": (images, labels)}, workers=flags.workers)
    try:
        scores = evaluate(variables, None, read, labels)
    except BrokenImageError as error:  # whose own advice includes leaving it out
        raise data.DataError(
            f"{error.path} cannot be read as an image ({error.cause}): put back the data set's own "
            "file; the protocol leaves none out."
        ) from error
    found = {name: float(each) for name, each in scores.items()}
    if found.pop("finite") < 1:
        raise OutputsError
    found |= {"images": len(labels)}
    print(f"top-1 {100 * found['top_1']:.2f}%, top-5 {100 * found['top_5']:.2f}%")
    if flags.out is not None:
        write(flags.out, (json.dumps(found, indent=1) + "\n").encode())


def top_scores(logits: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
    """Whether the label is the likeliest class, one of the five likeliest, and all are numbers.

    float32 [b] each.
    """
    ranks = label_ranks(logits, labels)
    scores = {"top_1": ranks < 1, "top_5": ranks < 5, "finite": jnp.isfinite(logits).all(1)}
    return {name: each.astype(jnp.float32) for name, each in scores.items()}


def _network(weights: Path, base: str | None, shape: tuple[int, int, int]) -> nn.Imported:
    """The network of a file of jaxnas's, or of one of `base`, else of timm."""
    if weights.suffix == ".safetensors" and "genotype" in read_safetensors(weights)[1]:
        loaded, form = nn.load_network(weights, shape), load_image_form(weights)
        known = (None, None) if form is None else (form.mean, form.std)
        return nn.Imported(loaded.network, loaded.variables, *known)
    return nn.import_timm(weights) if base is None else import_by_flags(weights, load_base(base))


if __name__ == "__main__":
    run_script(Evaluation, __doc__, main)
