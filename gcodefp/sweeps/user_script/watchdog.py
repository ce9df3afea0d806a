"""Starts a command in a process group of its own, and ends the group when the agent is gone.

It is run by its path, and imports nothing of this package, to start in hundredths of a second. The
agent holds the other end of standard input: its end, kill -9 too, closes it. Writes the group's
number to standard output, and at the end the command's exit code, negative for a signal.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

NOT_STARTED = 127


def main() -> None:
    try:
        # W&B's agent gives no input either: a read fails at once, and waits for nobody.
        process = subprocess.Popen(
            sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr, process_group=0
        )
    except OSError as error:
        print(f"{sys.argv[1]}: {error}", file=sys.stderr, flush=True)
        print(f"0\n{NOT_STARTED}", flush=True)
        return

    def kill() -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def end_with_agent() -> None:
        sys.stdin.buffer.read()
        kill()

    threading.Thread(target=end_with_agent, daemon=True).start()
    with suppress(BrokenPipeError):
        print(process.pid, flush=True)
    code = process.wait()
    kill()  # What the command left behind holds memory, and perhaps a GPU.
    with suppress(BrokenPipeError):
        print(code, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
