"""What commands say of flags that cannot be, and with what status they end."""

import dataclasses
import runpy
import sys

import pytest

from jaxnas.cli import main
from jaxnas.commands.flag_parsing import parse_flags
from jaxnas.runs.config import Training
from support.scripts import EXPERIMENTS

WRONG = {
    "jaxnas adapt --epochs 0": "error: --epochs must be above 0",
    "jaxnas search --child.epochs 0": "error: --child.epochs must be above 0",
    "jaxnas search --child.momentum 2": "error: --child.momentum must be from 0",
    "jaxnas search --children 0": "error: --children must be",
    "jaxnas adpt": "error: there is no command 'adpt'; did you mean adapt?",
    "jaxnas adapt --optimizer sdg": "'sdg' is none of sgd, lars, adamw; did you mean sgd?",
    "jaxnas adapt --methods original cel": "did you mean cell?",
    "jaxnas adapt --methods original,block": "give several with spaces between, original block",
    "jaxnas adapt --estimator 9": "'9' is none of mixed, raw",
    "jaxnas adapt --stem imagent": "did you mean imagenet?",
    "jaxnas adapt --seeds 0 x": "--seeds: 'x' is no whole number",
    "jaxnas adapt --grad-clip x": "--grad-clip: 'x' is no number",
    "jaxnas adapt --epoch 3": "error: there is no flag --epoch; did you mean --epochs",
    "jaxnas adapt --lr=0.1": "no flag --lr; did you mean --learning-rate? `jaxnas adapt --help`",
    "jaxnas adapt --training.epochs 3": "flag --training.epochs; did you mean --epochs? `jaxnas",
    "jaxnas search --epochs.bs 2": "did you mean --batch-size, --child.batch-size? `jaxnas search",
    "jaxnas adapt digits": "error: 'digits' is of no flag; `jaxnas adapt --help` lists the flags",
    "jaxnas adapt --epochs": "jaxnas adapt --help",
    "jaxnas adapt --dataset cfar10": "'cfar10' is no data set and no path that exists: did you "
    "mean cifar10, cifar100?",
    "jaxnas adapt --dataset digits --weights no.safetensors": "there is no file no.",
    "jaxnas count resnet200": "error: resnet200 is neither",
    "darts_cifar --darts.arch-learning-rate -1": "error: --darts.arch-learning-rate must be",
    "enas_cifar --enas.auxiliary-weight -1": "--enas.auxiliary-weight",
    "nat_cifar --nat.search-channels 0": "error: --nat.search-channels and --nat.search-cells",
    "nas_cifar --child.batch-size 0": "error: --child.batch-size must be above 0",
    "nas_cifar --child.optimizer adamw": "--child.optimizer adamw diverges at a "
    "--child.learning-rate of 0.1",
    "compare_cifar --seeds 0": "error: --seeds must be",
    "proxyless_ssl_cifar --temperature -1": "error: --temperature",
    "pnas_tables --parts race rac": "did you mean race?",
    "darts_cifar --darts.odrer 2": "error: there is no flag --darts.odrer; did you mean "
    "--darts.order",
    "nasbench201 --seeds 0": "error: --seeds must be",
}
"""Command lines, and a part of what each must be told."""


@pytest.mark.quick_cases(20)  # those of one program
@pytest.mark.parametrize(("line", "message"), WRONG.items(), ids=WRONG)
def test_an_error_of_usage_names_the_flag_as_it_was_typed(monkeypatch, capsys, line, message):
    name, *words = line.split()
    script = str(EXPERIMENTS / f"{name}.py")
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(sys, "argv", [script, *words])
    with pytest.raises(SystemExit) as caught:
        main() if name == "jaxnas" else runpy.run_path(script, run_name="__main__")
    told = "".join(capsys.readouterr())
    assert message in told
    assert caught.value.code == 2
    assert "Traceback" not in told


@dataclasses.dataclass(frozen=True)
class Both:
    """Two groups of one kind."""

    teacher_net: Training = dataclasses.field(default_factory=Training)
    student: Training = dataclasses.field(default_factory=Training)


@pytest.mark.parametrize("group", ["teacher-net", "student"])
def test_two_groups_of_one_kind_are_told_apart(group):
    with pytest.raises(RuntimeError, match=f"^--{group}.batch-size must be above 0, not 0$"):
        parse_flags(Both, args=[f"--{group}.batch-size", "0"])
    assert parse_flags(Both, args=[f"--{group}.batch-size", "7"]) != Both()
