"""Commands on what has been trained: it is judged, asked, exported and reported."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import tyro

from jaxnas.cli.output import Flag, console, print_json, refuse_no_folder, say, write
from jaxnas.runs.config import ConfigError, refuse_below_one
from jaxnas.runs.flags.data import ReadingFlags
from jaxnas.storage import files

TrainedSource = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|WEIGHTS")]


@dataclasses.dataclass(frozen=True)
class _Classify:
    """Flags of commands that have a trained network classify."""

    mean: tuple[float, ...] = ()
    """Mean of each channel in 0..1 by which images are normalised, for a file of weights that does
    not say."""
    std: tuple[float, ...] = ()
    """Standard deviation of each channel in 0..1, likewise."""
    batch_size: int = 100
    """Number of images that are classified at once."""
    seed: int | None = None
    """Seed of the network, in a folder of seeds that were trained side by side."""

    def __post_init__(self) -> None:
        refuse_below_one(self, "batch_size")
        if bool(self.mean) != bool(self.std):
            raise ConfigError("give both --mean and --std, or neither")
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (0, 1, 3):
                raise ConfigError(
                    f"--{name} has a value for each channel, 1 of grey or 3 of colour images, not "
                    f"{len(getattr(self, name))}"
                )

    @property
    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """What images are normalised by, where the flags say it."""
        return (self.mean, self.std) if self.mean else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateTrained(_Classify):
    """Judges a trained network on the test images of a data set: overall and by class.

    jaxnas evaluate runs/x/cell_seed0 --dataset my_photos/ --out evaluation

    It prints top-1 and top-5 accuracy, and for each class its accuracy (recall), its precision and
    what it is mostly taken for.
    Images of another size are resized to the network's, unless --image-size says otherwise; the
    test part is the one that the run drew, unless --test-share says otherwise.
    """

    source: TrainedSource
    """The folder of a method in a run, such as runs/x/cell_seed0, or of a run of one method; or a
    .safetensors file."""
    data: Annotated[ReadingFlags, tyro.conf.OmitArgPrefixes] = dataclasses.field(
        default_factory=ReadingFlags
    )
    out: Path | None = None
    """A folder for evaluation.json, classes.csv, and the confusion matrix as a picture,
    confusion.svg and .png."""
    json: Flag = False
    """Print a JSON object."""

    def run(self) -> None:
        from jaxnas.commands.trained.evaluate import evaluate
        from jaxnas.data.loading import load_by_flags
        from jaxnas.runs.load import (
            crop_share_of,
            drawn_test_part,
            knows_images,
            learned_besides,
            load_trained,
        )

        trained, flags, reading = None, self.data, self.data.reading
        if knows_images(self.source):
            trained = load_trained(self.source, self.seed, self.moments)
            height, width, _ = trained.input_shape
            if flags.image_size is None and height == width:
                reading["image_size"] = height
                if flags.crop_share == 1:
                    reading["crop_share"] = crop_share_of(self.source)
        if flags.test_share is None:
            reading |= drawn_test_part(self.source, flags.dataset)
        dataset = load_by_flags(flags.dataset, flags.data_dir, download=flags.download, **reading)
        if trained is None:
            trained = load_trained(self.source, self.seed, self.moments, dataset.input_shape)
        drawn = reading["test_share"], reading["test_seed"]
        warning = learned_besides(self.source, flags.dataset, *drawn)
        if warning is not None:
            print(warning, file=sys.stderr)
        judged = evaluate(trained, dataset, self.batch_size)
        row = {"network": str(self.source), "dataset": dataset.name} | judged.as_json()
        if self.json:
            print_json(row)
        else:
            print(dataset.described)
            judged.table().print(console())
            top5 = row["top5_accuracy"]
            more = "" if top5 is None else f", top-5 {top5:.2f}%"
            say(
                f"{self.source} on {row['images']:,} test images of {dataset.name}: top-1 accuracy "
                f"{row['top1_accuracy']:.2f}%{more}, mean over the classes "
                f"{row['mean_class_accuracy']:.2f}%, loss {row['loss']:.4f}."
            )
        if self.out is not None:
            files.make_folder(self.out)
            judged.draw(self.out / "confusion")
            texts = {
                "evaluation.json": json.dumps(row, indent=1) + "\n",
                "classes.csv": judged.table().csv(),
            }
            for name, text in texts.items():
                write(self.out / name, text.encode(), tell=not self.json)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictImages(_Classify):
    """Says what images show, by a trained network: the likeliest classes and their probabilities.

    jaxnas predict runs/x/cell_seed0 photo.jpg holidays/ --top 3 --out predictions.csv

    Images are decoded and normalised as those that the network was trained on.
    """

    source: TrainedSource
    """The folder of a method in a run, such as runs/x/cell_seed0, or of a run of one method; or a
    .safetensors file."""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGES")]
    """Image files, or folders of them."""
    skip_broken: Flag = False
    """Leave out image files that cannot be decoded, and name them, in place of stopping there."""
    top: int = 5
    """Number of likeliest classes that are told of each image."""
    out: Path | None = None
    """The .csv or .json file to write, in place of printing."""
    json: Flag = False
    """Print a JSON list in place of CSV."""

    def run(self) -> None:
        from jaxnas.commands.trained.predict import as_csv, image_paths, predict
        from jaxnas.data.errors import BrokenImageError
        from jaxnas.data.folders.image_files import read_pixels
        from jaxnas.data.folders.notes import broken_files
        from jaxnas.runs.load import crop_share_of, load_trained

        refuse_below_one(self, "top")
        if not self.images:
            raise ConfigError("there is no image to predict; name files or folders of them")
        if self.out is not None and self.out.suffix not in (".csv", ".json"):
            raise ConfigError(f"--out {self.out} must be a .csv or a .json file")
        if self.out is not None:
            refuse_no_folder(self.out)
        broken: list[BrokenImageError] = []
        paths = image_paths(self.images, broken if self.skip_broken else None)
        for told in broken_files(broken):
            print(told, file=sys.stderr)
        shape = read_pixels(paths[0], len(self.mean)).shape if self.mean else None
        trained = load_trained(self.source, self.seed, self.moments, shape)
        crop_share = crop_share_of(self.source)
        rows = list(predict(trained, paths, self.top, self.batch_size, crop_share))
        as_json = self.json if self.out is None else self.out.suffix == ".json"
        text = json.dumps(rows, indent=1) + "\n" if as_json else as_csv(rows)
        if self.out is None:
            print(text, end="")
        else:
            write(self.out, text.encode("utf-8", "backslashreplace"))


@dataclasses.dataclass(frozen=True)
class Export:
    """Exports the trained network of a finished run, to be run elsewhere."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The folder of a method in a run, such as runs/x/cell_seed0, or of a run of one method."""
    out: Path
    """The file to write: .stablehlo, a program of jax.export, .onnx, a model for other runtimes, or
    .safetensors, the weights."""
    seed: int | None = None
    """Seed of the network, in a folder of seeds that were trained side by side."""

    def run(self) -> None:
        if self.out.suffix not in (".stablehlo", ".onnx", ".safetensors"):
            raise ConfigError(f"--out {self.out} must be a .stablehlo, .onnx or .safetensors file")
        refuse_no_folder(self.out)
        from jaxnas.nn import save_safetensors
        from jaxnas.nn.weights.export import export
        from jaxnas.nn.weights.onnx_file import export_onnx
        from jaxnas.nn.weights.safetensors_file import image_form
        from jaxnas.runs.load import load_run

        trained = load_run(self.run_dir, self.seed)
        network, variables, shape = trained.network, trained.variables, trained.input_shape
        names = trained.class_names
        if self.out.suffix == ".stablehlo":
            write(self.out, export(network, variables, shape, class_names=names))
            reader = f"jaxnas.nn.load_exported({str(self.out)!r})"
        elif self.out.suffix == ".onnx":
            write(self.out, export_onnx(network, variables, shape, names))
            reader = f"onnxruntime.InferenceSession({str(self.out)!r})"
        else:
            form = image_form(shape, trained.mean, trained.std)
            save_safetensors(variables, self.out, network.genotype, names, form)
            say(f"Wrote {self.out}")
            reader = f"jaxnas.nn.load_network({str(self.out)!r}, {shape})"
        say(
            f"Read it with {reader}. It takes images "
            f"[b, {', '.join(map(str, shape))}] in 0..1, less "
            f"{_rounded(trained.mean)} and divided by {_rounded(trained.std)}."
        )


@dataclasses.dataclass(frozen=True)
class Report:
    """Writes tables, pictures and the report of a finished run anew.

    That is report.md with its pictures beside it, and report.html, which is all in one file.
    """

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's --run-dir."""

    def run(self) -> None:
        from jaxnas.reports.experiment_report import write_experiment
        from jaxnas.reports.page import told_pages

        write_experiment(self.run_dir)
        say(told_pages(self.run_dir / "report.md"))


def _rounded(values: list[float]) -> list[float]:
    return [float(f"{value:.8g}") for value in values]  # float32 and no more
