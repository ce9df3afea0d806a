"""The former name of `evaluate_script`."""

from gcodefp.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["evaluate_program"]))
