"""Shows a sweep in the browser as it runs: curves, runs, importance of hyperparameters.

This is optuna-dashboard over the run folders, on any host with access to them; it is read-only. It
has no password: every browser that reaches the port shows the sweep. It needs no internet.
"""

import argparse
import logging
import sys
import threading
from collections.abc import Sequence
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from gcodefp.command_line import add_sweep_flags, command_parser, positive, run_command
from gcodefp.errors import UserError
from gcodefp.reporting.optuna_studies import Dashboard

logger = logging.getLogger("gcodefp.dashboard")


class _Server(ThreadingMixIn, WSGIServer):
    """Handles each request in a thread that ends with the process."""

    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    """Logs no requests."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("dashboard", __doc__)
    add_sweep_flags(parser, "; phases and repeats below its folder are included")
    add = parser.add_argument
    text = (
        "0.0.0.0: access from other hosts, by this one's name or IP address; default: %(default)s, "
        "for browsers on this host"
    )
    add("--host", default="127.0.0.1", help=text)
    add("--port", type=_port, default=8080, help="0: any free port (default: %(default)s)")
    text = "between two snapshots of the run folders (default: %(default)s)"
    add("--seconds", type=positive, default=5, help=text)
    return run_command(parser, _show, argv)


def _show(arguments: argparse.Namespace) -> None:
    page = Dashboard(arguments.sweep, arguments.runs, arguments.host)
    with _listening(arguments.host, arguments.port, page) as server:
        threading.Thread(target=page.follow, args=[arguments.seconds], daemon=True).start()
        logger.info("open http://%s:%d/ in a browser; Ctrl-C ends it", *server.server_address)
        server.serve_forever()


def _listening(host: str, port: int, page: Dashboard) -> WSGIServer:
    """Raises UserError: the port is taken, or the host is not this one."""
    try:
        return make_server(host, port, page, _Server, QuietHandler)
    except OSError as error:
        raise UserError(
            f"--host {host} --port {port}: {error.strerror}; "
            "--port 0 takes a port that is free, and --host is a name or address of this host"
        ) from None


def _port(text: str) -> int:
    if not 0 <= (number := int(text)) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 65535")
    return number


if __name__ == "__main__":
    sys.exit(main())
