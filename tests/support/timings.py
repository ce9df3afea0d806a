"""A timing as the estimate gets it, without training."""

from gcodefp.sweeps.timing import Timing

TIMING = Timing(
    parameters=100,
    step_seconds=(0.5, 0.5),
    epoch_seconds=10.0,
    file_seconds=0.0,
    run_seconds=0.0,
    start_seconds=0.0,
    host_bytes=2**30,
    device_bytes=0,
)
