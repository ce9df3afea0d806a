"""Runs the server for tries by hand: `PYTHONPATH=tests python -m wandb_server --port 8999`."""

import argparse
import signal
import time

from . import WandbServer


def main() -> None:
    """Prints the environment of a client, then each request, until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="any free one by default")
    parser.add_argument("--seed", type=int, default=0, help="of the search of sweeps")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with WandbServer(port=arguments.port, seed=arguments.seed) as server:
        for key, value in sorted(server.environment().items()):
            if key.startswith("WANDB_"):
                print(f"export {key}={value}", flush=True)
        shown = 0
        try:
            while True:
                time.sleep(0.2)
                for request in server.requests[shown:]:
                    print(request.status, request.method, request.kind, request.path, flush=True)
                    shown += 1
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
