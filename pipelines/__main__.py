"""``python -m pipelines`` is the command ``transfuse``."""

import sys

from pipelines.cli.main import command

if __name__ == "__main__":
    sys.exit(command())
