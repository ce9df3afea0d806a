"""The former name of `evaluate_script`."""

import sys

from gcodefp.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate_program"]))
