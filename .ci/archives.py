"""Checks that the wheel and the sdist of a folder hold the repository's files and no others.

python .ci/archives.py DIST
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

folder = Path(sys.argv[1])
((wheel,), (sdist,)) = (list(folder.glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
tracked = set(subprocess.check_output(["git", "ls-files"], text=True).splitlines())

with zipfile.ZipFile(wheel) as packed:
    in_wheel = {name for name in packed.namelist() if ".dist-info/" not in name}
with tarfile.open(sdist) as packed:
    in_sdist = {each.name.partition("/")[2] for each in packed if each.isfile()}
made = {name for name in in_sdist if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}

expected = {name for name in tracked if name.startswith("jaxnas/")}
for path, found, wanted in ((wheel, in_wheel, expected), (sdist, in_sdist - made, tracked)):
    if found != wanted:
        sys.exit(f"{path} lacks {sorted(wanted - found)} and has {sorted(found - wanted)}")
