"""The former name of `fit_decoder`."""

from gcodefp.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["calibrate"]))
