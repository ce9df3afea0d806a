"""Sweeps in the browser: optuna-dashboard over what the run folders tell; writes nothing."""

import json
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

import optuna_dashboard

from gcodefp.reporting.optuna_studies import Phases, Study, storage, study

logger = logging.getLogger(__name__)

Environment = dict[str, Any]
StartResponse = Callable[..., Any]

REFUSED = "this page only shows the sweep; nothing can be changed here"
NO_CONTOUR = b"""<style>
#graph-contour { display: none }
:has(> #graph-contour)::after { content: "Left out: once a run was stopped or has failed,\
 optuna-dashboard draws values at the places of other runs." }
</style></head>"""
"""Its version 0.21 takes values of the complete trials, and places of the first of all trials."""


class WebPage:
    """What visitors see, as a WSGI application; each request is answered from one look."""

    def __init__(self, phases: Phases) -> None:
        self._phases = phases
        self._studies: dict[str, Study | None] = {}
        self._told: set[str] = set()
        self._look()

    def __call__(self, environment: Environment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request; one that would change something is refused."""
        if environment["REQUEST_METHOD"] not in ("GET", "HEAD"):
            headers = [("Content-Type", "application/json"), ("Allow", "GET, HEAD")]
            start_response("405 Method Not Allowed", headers)
            return [json.dumps({"reason": REFUSED}).encode()]
        if environment["PATH_INFO"].startswith("/dashboard"):
            return self._without_contour(environment, start_response)
        return self._application(environment, start_response)

    def follow(self, seconds: float) -> None:
        """Looks for ever, with so long a pause in between."""
        pause = threading.Event()
        while not pause.wait(seconds):
            try:
                self._look()
            except Exception as error:  # A file server may be away for a while.
                self._tell(f"{type(error).__name__}: {error}")

    def _look(self) -> None:
        seen = {one.name: study(one) for one in self._phases.look()}
        # Sweeps that are gone keep their places, so that no other one gets their addresses.
        studies = dict.fromkeys(self._studies) | seen
        if studies != self._studies:
            # A new one: it remembers of trials what is right only as long as none is taken away.
            self._application = optuna_dashboard.wsgi(storage(studies))
            self._studies = studies

    def _without_contour(
        self, environment: Environment, start_response: StartResponse
    ) -> Iterable[bytes]:
        began: list[tuple[str, list[tuple[str, str]]]] = []
        answer = self._application(environment, lambda *head: began.append(head[:2]))
        page = b"".join(answer).replace(b"</head>", NO_CONTOUR)
        getattr(answer, "close", lambda: None)()  # A file has it, a list has not.
        (status, headers) = began[0]
        others = [header for header in headers if header[0].lower() != "content-length"]
        start_response(status, [*others, ("Content-Length", str(len(page)))])
        return [page]

    def _tell(self, message: str) -> None:
        if message not in self._told:
            logger.warning("the page stays as it was: %s", message)
        self._told.add(message)
