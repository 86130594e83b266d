"""Freed memory stays with the process."""

import subprocess
import sys

import pytest

_SCRIPT = """
import resource, sys
import numpy as np
from jaxnas.allocation import keep_memory

if sys.argv[1] == "keep":
    keep_memory()
faults = []
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**24)  # 128 MiB
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(faults[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_what_is_freed_is_taken_again_without_the_kernel():
    def faults(how):
        command = [sys.executable, "-c", _SCRIPT, how]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults("keep") < 100
    assert faults("leave") > 100  # pages of 4 KiB, or huge ones
