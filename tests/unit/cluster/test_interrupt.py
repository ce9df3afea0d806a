"""SIGTERM that arrives as often as it likes, until the process is gone."""

import signal
import subprocess
import sys
import time

INTERRUPTED_PROCESS = """
import sys, time
import pandas  # What Python has to take down makes its end long enough to be hit.
from gcodefp.cluster.interrupt import AFTER_RUN, INTERRUPT
with INTERRUPT.listening(AFTER_RUN):
    print("ready", flush=True)
    while not INTERRUPT.requested_at_epoch():
        time.sleep(0.01)
sys.exit(130)
"""


def test_no_sigterm_kills_a_process_that_ends_as_one_asked() -> None:
    command = [sys.executable, "-c", INTERRUPTED_PROCESS]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.0005)
    assert process.returncode == 130
