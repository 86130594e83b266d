"""PyTorch's side of `training_step.py`: a process that takes a training step when told to.

Its first line of input is JSON (genotype, classes, params, side, batch_size, precision, compiled,
rate, momentum, decay, keep_memory), answered by what it took to get ready. Every further line takes
a step and is answered when it is done. So PyTorch may live in another interpreter than jaxnas.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch_network import Network

from jaxnas.spaces import Genotype


def main() -> None:
    """Answers line by line until the input ends."""
    asked = json.loads(sys.stdin.readline())
    if asked["keep_memory"]:
        keep_memory()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    started = time.perf_counter()
    genotype = Genotype.from_json(asked["genotype"])
    network: Any = Network(genotype, asked["classes"])
    network = network.to(device, memory_format=torch.channels_last)
    init_seconds = time.perf_counter() - started
    found = sum(each.numel() for each in network.parameters())
    if found != asked["params"]:
        sys.exit(f"{genotype.name}: {found} parameters in PyTorch, {asked['params']} in jaxnas")
    optimizer = torch.optim.SGD(
        network.parameters(),
        asked["rate"],
        momentum=asked["momentum"],
        weight_decay=asked["decay"],
        nesterov=True,
    )
    images, labels = (torch.tensor(each) for each in random_batch(asked))
    images = images.permute(0, 3, 1, 2).to(device, memory_format=torch.channels_last)
    labels = labels.long().to(device)
    model = torch.compile(network) if asked["compiled"] else network

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=asked["precision"] == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    started = time.perf_counter()
    step()
    first = time.perf_counter() - started
    answer = {"init": init_seconds, "compile": first, "version": torch.__version__}
    print(json.dumps(answer), flush=True)
    for _ in sys.stdin:
        step()
        print(json.dumps("done"), flush=True)


def keep_memory() -> None:
    """Keeps freed memory, as `jaxnas.allocation` does, on one heap for all of PyTorch's threads."""
    mallopt = ctypes.CDLL(None).mallopt
    arenas, most_mapped, trim = -8, -4, -1
    for parameter, value in ((arenas, 1), (most_mapped, 0), (trim, -1)):
        mallopt(parameter, value)


def random_batch(asked: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 [b, h, w, c] and labels int32 [b]."""
    rng = np.random.default_rng(0)
    size, side = asked["batch_size"], asked["side"]
    images = rng.normal(size=(size, side, side, 3)).astype(np.float32)
    return images, rng.integers(0, asked["classes"], size, np.int32)


if __name__ == "__main__":
    main()
