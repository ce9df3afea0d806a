"""The W&B service: addresses of sweeps, the session, its errors, and sweeps created there."""

import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from gcodefp.errors import UserError
from gcodefp.files import digest, read_json, write_json
from gcodefp.sweeps.search_options import NO_OPTIONS
from gcodefp.sweeps.specification import Specification
from gcodefp.sweeps.wandb_log import clear_agent_variables

PART = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


class SweepAddress(NamedTuple):
    """A sweep's address, as W&B's own commands write it."""

    entity: str
    project: str
    sweep_id: str

    def __str__(self) -> str:
        return "/".join(self)


def read_address(text: str) -> SweepAddress:
    """`ENTITY/PROJECT/ID`, as `wandb sweep` prints it.

    Raises UserError: the text has another form.
    """
    parts = text.strip().split("/")
    if len(parts) != len(SweepAddress._fields) or not all(re.fullmatch(PART, p) for p in parts):
        raise UserError(f"sweep {text!r}: write ENTITY/PROJECT/ID, as `wandb sweep` prints it")
    return SweepAddress(*parts)


LOCAL_INSTEAD = "or train without any service: sweep.engine: local"
LOG_IN = "log in with `wandb login` or set WANDB_API_KEY"
CHECK_NAME = (
    "check entity, project and id, as `wandb sweep` printed them, and that your account may use "
    "them; if the sweep was deleted, remove results/runs/wandb-*.json and results/sweep/sweep.json "
    "to create it again"
)
CONNECT_TIMEOUT_SECONDS = 20.0
API_TIMEOUT_SECONDS = 60
ONLINE = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true", "WANDB_MODE": "online"}


class ServiceUnavailable(UserError):
    """The service does not answer now, but may later."""


def base_url() -> str:
    """The service's URL: WANDB_BASE_URL, or the one that `wandb login --host` stored."""
    os.environ.update(ONLINE)
    import wandb  # late: its settings come from the environment above

    return str(wandb.setup().settings.base_url)


def open_session() -> Any:
    """The SDK's interface to the service, after a check that it answers.

    Raises UserError: it cannot be reached, or there is no API key.
    """
    clear_agent_variables()
    _check_reachable(base_url())
    import wandb

    with translate_errors("logging in"):
        return wandb.Api(timeout=API_TIMEOUT_SECONDS)


def _check_reachable(url: str) -> None:
    """Fails at once where the SDK would silently try again and again."""
    try:
        urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()  # Any answer will do.
    except (OSError, ValueError) as error:
        raise ServiceUnavailable(
            f"W&B at {url}: cannot be reached ({getattr(error, 'reason', error)}); set "
            f"WANDB_BASE_URL if your server is elsewhere, {LOCAL_INSTEAD}"
        ) from None


@contextmanager
def translate_errors(action: str) -> Iterator[None]:
    """Turns what the SDK raises at an action into one UserError with the fix."""
    import wandb.errors
    from wandb.sdk.lib.service.service_connection import WandbApiFailedError

    try:
        yield
    except (wandb.errors.Error, WandbApiFailedError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.filename:
            raise  # An error of a local file.
        text = " ".join(str(error).split()) or type(error).__name__
        if (status := http_status(error)) is not None:
            text = f"{text} (HTTP {status})"
        if key := os.environ.get("WANDB_API_KEY"):
            text = text.replace(key, "(API key)")
        message, relevant = f"W&B, {action}: {text}", IRRELEVANT.sub("", text)
        advice = next((text for text, pattern in REFUSED.items() if pattern.search(relevant)), None)
        if UNAVAILABLE.search(relevant) or advice is None:
            silent = f"{message}; try again when {base_url()} answers, {LOCAL_INSTEAD}"
            raise ServiceUnavailable(silent) from None
        raise UserError(f"{message}; {advice}, {LOCAL_INSTEAD}") from None


def http_status(error: BaseException | None) -> int | None:
    """Of the service's answer to which an error of the SDK belongs; None if there was none."""
    return getattr(getattr(error, "response", None), "http_status", None) or None


UNAVAILABLE = re.compile(
    r"\b(busy|timed? ?out|timeout|deadline|connection|unavailable|429|50\d)\b", re.I
)
REFUSED = {
    LOG_IN: re.compile(
        r"api[ _]?key|\b401\b|unauthorized|authenticat|not logged in|wandb login|credentials", re.I
    ),
    CHECK_NAME: re.compile(
        r"\b40[34]\b|\bnot find\b|not found|\bentity\b|permission|forbidden", re.I
    ),
}
"""Advice -> the errors that it is for, in this order."""
IRRELEVANT = re.compile(r"\w+://\S+|port[= ]\d+|verify(ing)? credentials", re.I)
"""Hosts, ports, and the words with which the SDK starts every error of a login."""


CREATED_FORMAT = "gcodefp-wandb-sweep-1"
TRAINER = {
    "program": "gcodefp/train.py",
    "command": ["${env}", "${interpreter}", "-m", "gcodefp.train", "${args}"],
}
"""The program of every sweep created here, instead of the YAML's: this project's trainer."""
PAUSED = "PAUSED"
CANCELLED = ("CANCELED", "CANCELLED")
TERMINAL_SWEEP_STATES = ("FINISHED", "STOPPED", *CANCELLED, "CRASHED", "FAILED")
"""States of a sweep in which agents get no more runs."""


def check_no_options(specification: Specification, where: str) -> None:
    """Raises UserError if the configuration adds keys that the service's search does not have."""
    if specification.options != NO_OPTIONS:
        added = specification.options.describe()["rules"]
        names = ", ".join(f"sweep.{name}" for name, value in added.items() if value)
        raise UserError(
            f"{where}: sweep.engine: wandb searches on the service, which knows the YAML alone; "
            f"remove {names} from the configuration, or set sweep.engine: local"
        )


def create_once(
    document: Mapping[str, Any], local_id: str, folder: Path, project: str, entity: str | None
) -> SweepAddress:
    """The sweep with this local id, created on the service unless it exists.

    Its description carries the id, so that a kill between creation and recording it here does
    not make a second sweep.

    Args:
        local_id: the hash of all that decides the runs.
        folder: keeps records of created sweeps, outside of what Snakemake removes.

    Raises UserError: the service refuses, or cannot be reached.
    """
    where = digest([base_url(), entity, project, local_id])[:8]
    path = folder / f"wandb-{where}.json"
    if path.exists():
        record = read_json(path, CREATED_FORMAT, "remove it, and the sweep is looked up again")
        return SweepAddress(record["entity"], record["project"], record["id"])
    api = open_session()
    mark = f"[gcodefp {local_id}]"
    address = _find_marked(api, mark, project, entity) or _create(document, mark, project, entity)
    record = {"entity": address.entity, "project": address.project, "id": address.sweep_id}
    write_json(path, CREATED_FORMAT, record)
    return address


class RemoteSweep(NamedTuple):
    """A sweep as the service keeps it: its YAML, and its state in capitals."""

    config: dict[str, Any]
    state: str


def read_remote(address: SweepAddress) -> RemoteSweep:
    """Raises UserError: there is no such sweep."""
    api = open_session()
    with translate_errors(f"reading sweep {address}"):
        sweep = api.sweep(str(address))
        return RemoteSweep(dict(sweep.config), str(sweep.state).upper())


def count_runs(address: SweepAddress) -> int:
    """The number of runs that a sweep has there: one more request, which no agent has to repeat."""
    api = open_session()
    with translate_errors(f"reading sweep {address}"):
        return len(api.sweep(str(address)).runs)


def _create(
    document: Mapping[str, Any], mark: str, project: str, entity: str | None
) -> SweepAddress:
    import wandb

    description = str(document.get("description") or "")
    config = {**document, "description": f"{description} {mark}".strip(), **TRAINER}
    with translate_errors(f"creating a sweep in {entity or 'the default entity'}/{project}"):
        sweep_id = wandb.sweep(config, entity=entity, project=project)
        path = "/".join(filter(None, [entity, project, sweep_id]))
        sweep = wandb.Api().sweep(path)
        return SweepAddress(sweep.entity, sweep.project, sweep_id)


def _find_marked(api: Any, mark: str, project: str, entity: str | None) -> SweepAddress | None:
    """A sweep of the project with the mark in its description that was not cancelled."""
    import wandb.errors

    with translate_errors(f"listing the sweeps of {project}"):
        owner = entity or api.default_entity
        try:
            sweeps = list(api.project(project, entity=owner).sweeps())
        except (wandb.errors.CommError, ValueError):
            return None  # The project does not exist yet.
        for sweep in sweeps:
            is_marked = mark in str(sweep.config.get("description", ""))
            if is_marked and str(sweep.state).upper() not in CANCELLED:
                return SweepAddress(sweep.entity, sweep.project, sweep.id)
    return None
