"""The former name of `fit_decoder`."""

import sys

from gcodefp.cli import main

if __name__ == "__main__":
    sys.exit(main(["calibrate"]))
