"""What small runs of every kind come to, by which two revisions of the library are compared.

python benchmarks/digests.py --out before.json
python benchmarks/digests.py --against before.json

The digests are those of a machine, a set of versions and compiler options; see
docs/reproducibility.md. Exit status 1 if some run came to something else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import tyro

ROOT = Path(__file__).resolve().parent.parent

_BRIEF = "--dataset digits --train-limit 200"
_ANEW = "--epochs 1 --batch-size 50"
_CHILD = (
    "--child.epochs 1 --child.batch-size 50 --finalists 1 --finalist-epochs 1 --judged 1 "
    "--train-share 0.8"
)

RUNS = {
    "adaptation": "proxyless_cifar.py --base resnet20_cells --epochs 3 --batch-size 50 "
    "--methods original cell full random_full --seeds 0 1",
    "adaptation_holdout": "proxyless_cifar.py --base plain20 --epochs 3 --batch-size 50 "
    "--methods cell --estimator sampled --arch-data holdout",
    "simclr": "proxyless_ssl_cifar.py --base resnet20 --methods original full --epochs 3 "
    "--batch-size 50",
    "darts": f"darts_cifar.py --search-channels 4 --search-cells 3 --channels 4 --cells 3 "
    f"--search-epochs 1 --search-batch-size 50 {_ANEW} --cutout 0",
    "nat": f"nat_cifar.py --search-epochs 1 --search-batch-size 40 {_ANEW}",
    "proxylessnas": "proxylessnas_cifar.py --width 0.25 --stages 1 --depth 2 --kernels 3 5 "
    f"--head 32 --search-epochs 2 --search-batch-size 50 {_ANEW}",
    "enas": "enas_cifar.py --train-share 0.6 --search-epochs 1 --search-batch-size 40 --blocks 2 "
    f"--search-channels 4 --search-cells 3 --channels 4 --cells 3 {_ANEW} --drop-path 0",
    "enas_macro": "enas_macro_cifar.py --train-share 0.6 --search-epochs 1 --search-batch-size 40 "
    f"--layers 3 --search-channels 4 --channels 4 {_ANEW}",
    "nas": f"nas_cifar.py --children 8 --filters 6 9 12 16 --first-layers 4 {_CHILD} "
    f"--more-filters 6 {_ANEW}",
    "nasnet": f"nasnet_cifar.py --children 4 --blocks 2 --no-combine --child-cells 3 "
    f"--child-channels 4 {_CHILD} --channels 4 --cells 3 {_ANEW} --cutout 0",
    "cost_front": "cost_front.py --base plain20 --targets 0.7 --seeds 0 --epochs 3 --batch-size 50",
}
"""A command of experiments/ each; all on a few of scikit-learn's digits."""

_KEPT = ("results.json", "metrics.jsonl", "children.jsonl", "genotype*.json")


@dataclasses.dataclass(frozen=True)
class Digests:
    """Which runs, and what they are compared with."""

    out: Path | None = None
    """Write the digests to this file."""
    against: Path | None = None
    """Compare them with those in this file."""
    only: tuple[str, ...] = ()
    """Names of the runs; all by default."""


def main(flags: Digests) -> int:
    """Runs, prints a line for each, and says what differs; returns the exit status."""
    before = json.loads(flags.against.read_text()) if flags.against else None
    found, differing = {}, 0
    for name in flags.only or RUNS:
        found[name] = _run(RUNS[name])
        total = _hash(found[name])
        changed: list[str] = []
        if before is not None:
            files = sorted({*found[name], *before.get(name, {})})
            changed = [f for f in files if found[name].get(f) != before.get(name, {}).get(f)]
        differing += bool(changed)
        print(name, total[:16], f"differs in {', '.join(changed)}" if changed else "", flush=True)
    if flags.out:
        flags.out.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if differing else 0


def _run(command: str) -> dict[str, str]:
    """Digests of the files that a command leaves, by their path in the run's folder."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        script, *arguments = shlex.split(f"{command} {_BRIEF} --run-dir {run}")
        subprocess.run(
            [sys.executable, str(ROOT / "experiments" / script), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        paths = sorted({path for pattern in _KEPT for path in run.rglob(pattern)})
        return {str(path.relative_to(run)): _hash(_read(path)) for path in paths}


def _read(path: Path) -> Any:
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    return [_without_clocks(json.loads(line)) for line in lines]


def _without_clocks(value: Any) -> Any:
    """JSON without what no two runs have in common."""
    if isinstance(value, dict):
        return {k: _without_clocks(v) for k, v in value.items() if not k.endswith("seconds")}
    return [_without_clocks(each) for each in value] if isinstance(value, list) else value


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Digests, description=__doc__)))
