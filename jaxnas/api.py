"""One call: a known network and a data set in, an adapted and trained network out."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import numpy as np

from jaxnas import data, nn
from jaxnas.commands.experiment import load_base
from jaxnas.commands.inputs import fit_stem
from jaxnas.errors import told_by_parameters
from jaxnas.hints import alike
from jaxnas.jobs.job import UNWATCHED, Watcher
from jaxnas.runs.adaptation_run import method_run
from jaxnas.runs.config import ConfigError, Training
from jaxnas.runs.flags.adaptation import AdaptationFlags
from jaxnas.runs.flags.pretrained import PretrainedFlags
from jaxnas.runs.starting.pretrained import start_from
from jaxnas.spaces import Genotype
from jaxnas.spaces.adaptation import Granularity

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class Adapted(NamedTuple):
    """An adapted network.

    Attributes:
      genotype: the architecture; `genotype.to_json()` stores it.
      network: the Flax module; `network.apply(variables, images, train=False)` gives logits of
        normalised float32 images [b, h, w, c].
      variables: trained ``params`` and ``batch_stats``.
      metrics: ``test_accuracy`` (percent), ``test_loss``, ``params``, ``macs``, ``seconds`` and
        ``digest``.
      theta: float32 [epochs of adaptation + 1, tables, edges, 3], the architecture parameters over
        time; None where no epoch adapts.
      notes: what the run had to say, such as edges repaired.
      class_names: of the network's logits, in their order: those of the data set.
      mean: of each channel, in 0..1, by which its images are normalised: that of the data set, or
        of the weights that training started from. `data.normalise` takes it and `std`.
      std: standard deviation of each channel, likewise.
    """

    genotype: Genotype
    network: nn.Network
    variables: Any
    metrics: dict[str, Any]
    theta: np.ndarray | None
    notes: tuple[str, ...]
    class_names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray


@told_by_parameters()
def adapt(
    base: str | os.PathLike[str] | Genotype,
    dataset: str | os.PathLike[str] | data.Dataset | Arrays,
    *,
    granularity: Granularity = "cell",
    seed: int = 0,
    channels: int | None = None,
    cells: int | None = None,
    weights: Any = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    **settings: Any,
) -> Adapted:
    """Adapts `base` while it trains on `dataset`.

    Args:
      base: a genotype, a name of the zoo, the path of a genotype.json or of a .txt in the form of
        DARTS.
      dataset: a `data.Dataset`, what `data.load` takes, or x_train, y_train, x_test, y_test with
        images uint8 [n, h, w, c] and labels int [n].
      granularity: ``cell``, one choice for each kind of cell; ``full``, one for each block; or
        ``block``, where whole blocks stay or go.
      seed: equal seeds give equal bits.
      channels: of a node in the first cells of a cell network that `base` names; None for the
        published number.
      cells: its depth, as `spaces.zoo.named` takes it; None for the published one.
      weights: what training starts from: a network with its variables, such as `nn.import_timm`
        gives, or the path of weights or of a run's folder; None for weights that are drawn. The
        notes say which are taken and which are new.
      on_epoch: called after each epoch with its row of metrics: ``epoch`` (0 before the first step,
        where something is measured then), ``seed``, ``phase``, ``train_loss``, ``test_accuracy`` in
        percent, ``test_loss``, ``seconds``, ...; what it returns is ignored, and what it raises
        ends the training.
      **settings: fields of `runs.config.Training` and `AdaptationFlags`, such as epochs=30, and
        with weights head_epochs and body_learning_rate_share.

    Raises:
      ConfigError: for a setting or a base that cannot be.
      GenotypeError: for a genotype.json that describes no network.
      DataError: for a data set that cannot be had or read.
      RunError, WeightsError: for weights that cannot be read.
      TypeError: for a setting that does not exist.
      TrainingError: if the loss is no longer finite.
    """
    if granularity not in get_args(Granularity):
        raise ConfigError(
            f"granularity is one of {', '.join(get_args(Granularity))}, not {granularity!r}"
        )
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ConfigError(f"a seed is a whole number from 0 to 2**32 - 1, not {seed!r}")
    training, adaptation, pretrained = _flags_of(settings)
    pretrained.refuse_beyond(training.epochs, weights)
    if isinstance(dataset, (str, os.PathLike)):
        dataset = data.load(dataset)
    elif isinstance(dataset, (tuple, list)) and len(dataset) == 4:
        dataset = data.from_arrays(*dataset)
    elif not isinstance(dataset, data.Dataset):
        raise data.DataError(
            "a data set is a name or path that data.load takes, a data.Dataset, or the four arrays "
            f"x_train, y_train, x_test, y_test; got {_described(dataset)}"
        )
    if isinstance(base, os.PathLike):
        base = os.fspath(base)
    if isinstance(base, str):
        base = fit_stem(load_base(base, channels, cells), base, None, dataset)
    elif not isinstance(base, Genotype):
        raise ConfigError(
            f"a base is a name of the zoo, the path of a file, or a Genotype, not {base!r}"
        )
    elif channels is not None or cells is not None:
        raise ConfigError("a genotype says its own channels and cells; leave them out")
    start = None
    if weights is not None:
        start = start_from(weights, base, dataset, pretrained)
        dataset = start.normalised(dataset)
    run = method_run(
        granularity, base, dataset, training, (seed,), adaptation=adaptation, start=start
    )
    watcher = UNWATCHED if on_epoch is None else Watcher(on_epoch=on_epoch)
    (outcome,) = run.run(watcher=watcher)
    result = outcome.result
    names = ("test_accuracy", "test_loss", "params", "macs", "seconds", "digest")
    return Adapted(
        outcome.result.genotype,
        nn.build(outcome.result.genotype, dataset.num_classes),
        outcome.variables,
        {name: getattr(result, name) for name in names},
        outcome.theta,
        outcome.notes if start is None else (*start.told, *outcome.notes),
        dataset.class_names,
        dataset.channel_mean(),
        dataset.channel_std(),
    )


def _flags_of(settings: dict[str, Any]) -> tuple[Training, AdaptationFlags, PretrainedFlags]:
    """Fields of three records by name as these records; a TypeError for a name that none has."""
    of_kinds = {
        kind: [field.name for field in dataclasses.fields(kind) if field.name != "weights"]
        for kind in (Training, AdaptationFlags, PretrainedFlags)
    }
    known = [name for names in of_kinds.values() for name in names]
    known += [name for name in inspect.signature(adapt).parameters if name != "settings"]
    for name in settings:
        if name in {field.name for field in dataclasses.fields(data.Reading)}:
            raise TypeError(
                f"{name!r} is a setting of jaxnas.data.load; give the data set that it returns"
            )
        if name not in known:
            hint = alike(name, known, f"there are {', '.join(known)}", most=3)
            raise TypeError(f"there is no setting {name!r}; {hint}")
    training, adaptation, pretrained = (
        {name: settings[name] for name in names if name in settings} for names in of_kinds.values()
    )
    return Training(**training), AdaptationFlags(**adaptation), PretrainedFlags(**pretrained)


def _described(value: object) -> str:
    """What it is, without printing all of it."""
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, (tuple, list)) else f"a {kind}"
