"""Talking to the W&B service: the environment that the SDK reads, and errors in clear words."""

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gcodefp.errors import UserError

DEFAULT_URL = "https://api.wandb.ai"
WITHOUT = "or train without any service: sweep.engine: local"
REACH_SECONDS = 20.0
API_SECONDS = 60
ENVIRONMENT = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true", "WANDB_MODE": "online"}
INHERITED = ("WANDB_SERVICE", "WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH")
"""Left by a W&B agent that started this process; they would turn this session into its run."""


class ServiceSilent(UserError):
    """The service does not answer now; it may later."""


def base_url() -> str:
    """Where the service is: WANDB_BASE_URL for servers of one's own."""
    return os.environ.get("WANDB_BASE_URL") or DEFAULT_URL


def open_session() -> Any:
    """The SDK's interface to the service, once it is known to answer.

    Raises:
        UserError: it cannot be reached, or there is no API key.
    """
    os.environ.update(ENVIRONMENT)
    for name in INHERITED:
        os.environ.pop(name, None)
    _reach()
    import wandb  # late: its settings come from the environment above

    with in_clear_words("logging in"):
        return wandb.Api(timeout=API_SECONDS)


def _reach() -> None:
    """The SDK itself tries a server that does not answer again and again, and says nothing."""
    try:
        urllib.request.urlopen(base_url(), timeout=REACH_SECONDS).close()
    except urllib.error.HTTPError:
        return  # An answer, whatever it says.
    except (OSError, ValueError) as error:
        raise ServiceSilent(
            f"W&B at {base_url()}: cannot be reached ({getattr(error, 'reason', error)}); set "
            f"WANDB_BASE_URL if your server is elsewhere, {WITHOUT}"
        ) from None


@contextmanager
def in_clear_words(doing: str) -> Iterator[None]:
    """Turns what the SDK raises into one message with the way out.

    Args:
        doing: what was tried, such as `reading sweep a/b/c`.

    Raises:
        UserError: whatever went wrong at the service.
    """
    import wandb.errors

    try:
        yield
    except (wandb.errors.Error, ValueError, OSError, TimeoutError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if key := os.environ.get("WANDB_API_KEY"):
            text = text.replace(key, "(API key)")
        told = f"W&B, {doing}: {text}"
        if (way_out := _way_out(error, text.lower())) is None:
            raise ServiceSilent(f"{told}; try again when {base_url()} answers, {WITHOUT}") from None
        raise UserError(f"{told}; {way_out}, {WITHOUT}") from None


KEY_WORDS = ("api key", "api_key", "401", "unauthorized", "authenticat", "wandb login")
NAME_WORDS = ("not find", "not found", "404", "403", "entity", "permission", "forbidden")


def _way_out(error: Exception, text: str) -> str | None:
    """What mends it; None if only time does."""
    import wandb.errors

    is_key = isinstance(error, wandb.errors.AuthenticationError)
    if is_key or any(word in text for word in KEY_WORDS):
        return "log in with `wandb login` or set WANDB_API_KEY"
    if any(word in text for word in NAME_WORDS):
        return "check entity, project and id, as `wandb sweep` printed them"
    return None
