"""Which sweep of the W&B service is meant."""

import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from gcodefp.errors import UserError
from gcodefp.sweeps.wandb_log import forget_agent

PART = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


class SweepAddress(NamedTuple):
    """A sweep as W&B's own commands name it."""

    entity: str
    project: str
    sweep_id: str

    def __str__(self) -> str:
        return "/".join(self)


def read_address(text: str) -> SweepAddress:
    """`ENTITY/PROJECT/ID`, as `wandb sweep` prints it.

    Raises:
        UserError: it is something else.
    """
    parts = text.strip().split("/")
    if len(parts) != len(SweepAddress._fields) or not all(re.fullmatch(PART, p) for p in parts):
        raise UserError(f"sweep {text!r}: write ENTITY/PROJECT/ID, as `wandb sweep` prints it")
    return SweepAddress(*parts)


WITHOUT = "or train without any service: sweep.engine: local"
REACH_SECONDS = 20.0
API_SECONDS = 60
ONLINE = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true", "WANDB_MODE": "online"}


class ServiceSilent(UserError):
    """The service does not answer now; it may later."""


def base_url() -> str:
    """Where the service is: WANDB_BASE_URL, or what `wandb login --host` wrote down."""
    os.environ.update(ONLINE)
    import wandb  # late: its settings come from the environment above

    return str(wandb.setup().settings.base_url)


def open_session() -> Any:
    """The SDK's interface to the service, once it is known to answer.

    Raises:
        UserError: it cannot be reached, or there is no API key.
    """
    forget_agent()
    _reach(base_url())
    import wandb

    with translate_errors("logging in"):
        return wandb.Api(timeout=API_SECONDS)


def _reach(url: str) -> None:
    """The SDK itself tries a server that does not answer again and again, and says nothing."""
    try:
        urllib.request.urlopen(url, timeout=REACH_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()  # An answer, whatever it says.
    except (OSError, ValueError) as error:
        raise ServiceSilent(
            f"W&B at {url}: cannot be reached ({getattr(error, 'reason', error)}); set "
            f"WANDB_BASE_URL if your server is elsewhere, {WITHOUT}"
        ) from None


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Turns what the SDK raises into one message with the way out.

    Args:
        doing: what was tried, such as `reading sweep a/b/c`.

    Raises:
        UserError: whatever went wrong at the service.
    """
    import wandb.errors
    from wandb.sdk.lib.service.service_connection import WandbApiFailedError

    try:
        yield
    except (wandb.errors.Error, WandbApiFailedError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.filename:
            raise  # A file of ours.
        text = " ".join(str(error).split()) or type(error).__name__
        if key := os.environ.get("WANDB_API_KEY"):
            text = text.replace(key, "(API key)")
        told = f"W&B, {doing}: {text}"
        if (way_out := _way_out(text)) is None:
            raise ServiceSilent(f"{told}; try again when {base_url()} answers, {WITHOUT}") from None
        raise UserError(f"{told}; {way_out}, {WITHOUT}") from None


SILENCE = re.compile(
    r"\b(busy|timed? ?out|timeout|deadline|connection|unavailable|429|50\d)\b", re.I
)
KEY = re.compile(r"api[ _]?key|\b401\b|unauthorized|authenticat|wandb login|credentials", re.I)
NAME = re.compile(r"\bnot find\b|not found|\b40[34]\b|\bentity\b|permission|forbidden", re.I)
NO_WORDS = re.compile(r"\w+://\S+|port[= ]\d+|verify(ing)? credentials", re.I)
"""Hosts, ports, and how the SDK begins whatever went wrong when it logged in."""


def _way_out(text: str) -> str | None:
    """What mends it; None if only time does."""
    text = NO_WORDS.sub("", text)
    if SILENCE.search(text):
        return None
    if KEY.search(text):
        return "log in with `wandb login` or set WANDB_API_KEY"
    if NAME.search(text):
        return (
            "check entity, project and id, as `wandb sweep` printed them; if the sweep was "
            "deleted, remove results/runs/wandb-*.json and results/sweep/sweep.json to create it "
            "anew"
        )
    return None
