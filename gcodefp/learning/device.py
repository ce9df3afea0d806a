"""Where a network is trained and evaluated."""

import torch

from gcodefp.errors import UserError

DEVICES = ("auto", "cpu", "cuda")


def open_device(name: str, threads: int) -> torch.device:
    """The device by name; `auto` is the GPU if there is one.

    Args:
        threads: CPU threads of this process. More than one may change the last bits of a result.
    """
    torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda: this machine has no usable GPU; set agents.device to cpu")
    return torch.device(name)


def mixed_precision(device: torch.device) -> torch.autocast:
    """A context in which matrix products of a GPU are bfloat16; it changes nothing on a CPU.

    GPUs that would only emulate bfloat16 stay with float32.
    """
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=able)
