"""``python -m jaxnas``: the same as ``jaxnas``."""

import sys

from jaxnas.cli import main

if __name__ == "__main__":
    sys.argv[0] = "jaxnas"  # what a run records as its command
    main()
