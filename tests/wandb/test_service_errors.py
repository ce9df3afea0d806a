"""Errors of the service become one message with the fix."""

from pathlib import Path

import pytest
import wandb
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from gcodefp.errors import UserError
from gcodefp.wandb_service.service import ServiceUnavailable, translate_errors

SILENT = (
    WandbApiFailedError("HTTP 503 Service Unavailable"),
    WandbApiFailedError("HTTPConnectionPool(host='127.0.0.1', port=40117): read timed out"),
    wandb.errors.AuthenticationError(
        "Failed to verify credentials with http://127.0.0.1:40117: context deadline exceeded"
    ),
    wandb.errors.CommError("https://wandb.my-entity.example has dropped the line"),
    TimeoutError(),
)
FINAL = (
    (WandbApiFailedError("HTTP 401: invalid"), "wandb login"),
    (wandb.errors.AuthenticationError("No API key configured"), "wandb login"),
    (WandbApiFailedError("HTTP 404"), "check entity"),
    (ValueError("Could not find sweep a/b/c"), "check entity"),
)


@pytest.mark.parametrize("error", SILENT, ids=str)
def test_silent_service_may_be_tried_again(error: Exception) -> None:
    with pytest.raises(ServiceUnavailable, match="try again when"), translate_errors("asking"):
        raise error


@pytest.mark.parametrize(("error", "suggested_fix"), FINAL, ids=str)
def test_error_names_the_fix(error: Exception, suggested_fix: str) -> None:
    with pytest.raises(UserError, match=suggested_fix) as caught, translate_errors("asking"):
        raise error
    assert not isinstance(caught.value, ServiceUnavailable)
    other = {"wandb login": "check entity", "check entity": "wandb login"}[suggested_fix]
    assert other not in str(caught.value)


def test_error_of_a_local_file_is_not_the_service_s(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), translate_errors("fetching"):
        (tmp_path / "none").read_text()
