"""What `python -m gcodefp.dashboard` shows of sweeps, over HTTP, on real run folders."""

import http.client
import json
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

import pytest
from remote_lease import write_remote_lease
from sweep_documents import RATE
from tiny_sweep import TinySweep
from trivial_runs import EPOCHS, METRIC, write_epochs
from waiting import wait_for
from watched_sweep import begin, created, flags, work

from gcodefp import dashboard
from gcodefp.reporting.optuna_studies import Dashboard
from gcodefp.sweeps.sweep_file import read_sweep


@pytest.fixture
def sweep(dataset: Path, tmp_path: Path) -> TinySweep:
    """A random search for four runs, none started."""
    return created(TinySweep(dataset, tmp_path))


@contextmanager
def served(sweep: TinySweep) -> Iterator[str]:
    """The address of a server that shows the sweep as it is now."""
    page = Dashboard(sweep.folder / "sweep.json", sweep.folder / "runs")
    with make_server("127.0.0.1", 0, page, handler_class=dashboard.QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def request(
    address: str, path: str, method: str = "GET", host: str | None = "localhost"
) -> tuple[int, bytes]:
    """The HTTP status and the content, also where no browser would send such a request."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content


def fetch(address: str, path: str) -> Any:
    return json.loads(request(address, f"/api/studies{path}")[1])


def detail(address: str, study: int = 0) -> dict[str, Any]:
    """A study; trials with their parameters and curves, all attributes by name."""
    content = dict(fetch(address, f"/{study}"))
    for part in (content, *content["trials"]):
        part["attributes"] = {each["key"]: each["value"] for each in part["user_attrs"]}
    for trial in content["trials"]:
        trial["values_of"] = {p["name"]: p["param_external_value"] for p in trial["params"]}
        trial["curve"] = [(p["step"], p["value"]) for p in trial["intermediate_values"]]
    return content


def shown(sweep: TinySweep) -> dict[str, Any]:
    with served(sweep) as address:
        return detail(address)


def names(address: str) -> list[str]:
    return [study["study_name"] for study in fetch(address, "")["study_summaries"]]


def states(content: dict[str, Any]) -> list[str]:
    return [trial["state"] for trial in content["trials"]]


def sweep_id(sweep: TinySweep) -> str:
    return read_sweep(sweep.folder / "sweep.json").sweep_id


@pytest.fixture
def process(sweep: TinySweep) -> Iterator[subprocess.Popen[str]]:
    """The command as users start it, on a free port."""
    command = [sys.executable, "-m", "gcodefp.dashboard", *flags(sweep)]
    # Where tests run in the background, a shell ignores Ctrl-C, and so do their children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    started = subprocess.Popen(
        [*command, "--port", "0", "--seconds", "1"], stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, before)
    yield started
    started.kill()
    started.communicate()


def test_sweep_phases_and_replacements_are_followed_until_ctrl_c(
    sweep: TinySweep, process: subprocess.Popen[str]
) -> None:
    assert process.stderr is not None
    match = re.search(r"http://[\d.:]+", process.stderr.readline())
    assert match is not None
    address, first = match[0], sweep_id(sweep)
    assert (names(address), detail(address)["trials"]) == ([first], [])
    work(sweep)
    ended = ["Complete", "Complete", "Complete", "Fail"]
    wait_for(lambda: states(detail(address)) == ended)
    # The sweep is extended, then a run is removed.
    created(sweep, run_cap=6)
    work(sweep)
    wait_for(lambda: states(detail(address)) == [*ended, "Complete", "Complete"])
    shutil.rmtree(sweep.run(1).path)
    wait_for(lambda: states(detail(address))[:3] == ["Complete", "Waiting", "Complete"])
    # A second phase starts, and another sweep replaces the first.
    second = TinySweep(sweep.dataset, sweep.folder / "phase_2")
    created(second, parameters={"learning_rate": RATE, "num_layers": {"min": 1, "max": 3}})
    wait_for(lambda: names(address) == [first, f"{sweep_id(second)} phase_2"])
    created(sweep, parameters={"learning_rate": RATE, "max_epochs": {"value": 2}})
    wait_for(lambda: names(address) == [f"{sweep_id(second)} phase_2", sweep_id(sweep)])
    assert detail(address, 2)["name"] == sweep_id(sweep)
    assert request(address, "/api/studies/0")[0] == 404
    (sweep.folder / "sweep.json").unlink()
    assert "is not followed" in process.stderr.readline()
    assert detail(address, 2)["trials"] == []
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert (process.returncode, rest.count("\n")) == (130, 1)
    assert "interrupted" in rest


def test_finished_runs_are_trials_with_values_curves_and_parameters(sweep: TinySweep) -> None:
    work(sweep)
    content = shown(sweep)
    assert (content["name"], content["directions"]) == (sweep_id(sweep), ["maximize"])
    assert content["objective_names"] == [METRIC]
    assert [trial.get("values") for trial in content["trials"]] == [[0.04], [0.14], [0.24], None]
    assert [trial["number"] for trial in content["best_trials"]] == [2]
    trial = content["trials"][1]
    assert trial["curve"] == [(1, 0.12), (2, 0.13), (3, 0.14), (4, 0.12)]
    assigned = sweep.run(1).assigned()
    assert assigned is not None
    # What all runs have in common is no parameter.
    rate = str(assigned["hyperparameters"]["learning_rate"])
    assert trial["values_of"] == {"learning_rate": rate}
    assert content["attributes"]["max_epochs"] == str(EPOCHS)
    assert content["attributes"]["runs wanted"] == "4"
    expected = {"state": "finished", "seconds": "12.0", "parameters": "1000"}
    assert trial["attributes"] == expected
    assert content["trials"][3]["attributes"]["failure"] == "diverged"
    assert trial["datetime_start"] <= trial["datetime_complete"]


def test_stopped_waiting_and_running_runs_are_told_apart(sweep: TinySweep) -> None:
    write_epochs(begin(sweep, 0), [0.2, 0.4, 0.3])
    sweep.run(0).end({"state": "stopped", "best_value": 0.4, "host": "node1"})
    write_epochs(begin(sweep, 1), [0.1, float("nan")])
    write_remote_lease(begin(sweep, 2).path, host="node2", pid=77)
    # Run 3 has a lease, but no hyperparameters yet.
    write_remote_lease(sweep.run(3).path, host="node3")
    content = shown(sweep)
    assert states(content) == ["Pruned", "Running", "Running", "Running"]
    stopped, waiting, running, leased = content["trials"]
    assert (stopped["values"], stopped["attributes"]["host"]) == ([0.4], "node1")
    assert waiting["curve"] == [(1, 0.1), (2, "nan")]
    assert waiting["attributes"]["state"] == "interrupted"
    assert running["attributes"] == {"state": "running", "host": "node2", "pid": "77"}
    assert (leased["values_of"], leased["attributes"]["host"]) == ({}, "node3")
    # Otherwise parallel coordinates show nothing but the objective.
    assert [space["name"] for space in content["intersection_search_space"]] == ["learning_rate"]
    assert content["best_trials"] == []


FLOAT, INT = "FloatDistribution", "IntDistribution"


@pytest.mark.parametrize(
    ("path", "parameter", "values", "kind", "expected"),
    [
        ("learning_rate", RATE, [0.001], FLOAT, (0.001, 0.1, None, True)),
        ("d_model", {"distribution": "q_log_uniform_values", "q": 8, "min": 8, "max": 128}, [16],
         INT, (8, 128, 1, True)),
        ("num_layers", {"min": 1, "max": 3}, [2], INT, (1, 3, 1, False)),
        ("batch_size", {"distribution": "q_uniform", "q": 16, "min": 16, "max": 60}, [32],
         INT, (16, 64, 16, False)),
        ("dropout", {"min": 0.0, "max": 0.5}, [0.0], FLOAT, (0.0, 0.5, None, False)),
        ("training.momentum", {"distribution": "q_uniform", "q": 0.25, "min": 0.0, "max": 0.8},
         [0.75], FLOAT, (0.0, 0.75, 0.25, False)),
        # It has no bounds of its own.
        ("training.weight_decay", {"distribution": "log_normal", "mu": -6.0, "sigma": 1.0},
         [0.5, 0.01], FLOAT, (0.01, 0.5, None, True)),
    ],
)  # fmt: skip
def test_ranges_have_their_scales(
    dataset: Path, tmp_path: Path, path: str, parameter: Any, values: Any, kind: str, expected: Any
) -> None:
    group, _, name = path.rpartition(".")
    own = {group: {"parameters": {name: parameter}}} if group else {name: parameter}
    sweep = created(TinySweep(dataset, tmp_path), parameters={"nhead": {"value": 1}, **own})
    for number, value in enumerate(values):
        sweep.run(number).assign({group: {name: value}} if group else {name: value}, {})
    content = shown(sweep)
    (space,) = content["union_search_space"]
    assert space["name"] == path
    assert space["distribution"].pop("type") == kind
    assert tuple(space["distribution"].values()) == expected
    assert [*content["trials"][0]["values_of"]] == [path]


def test_values_outside_the_sweep_are_shown_or_excluded(dataset: Path, tmp_path: Path) -> None:
    parameters = {"learning_rate": RATE, "optimizer": {"values": ["adam", "sgd"]}}
    sweep = created(TinySweep(dataset, tmp_path), parameters=parameters)
    sweep.run(0).assign({"learning_rate": "high", "optimizer": ["adam", "sgd"]}, {})
    sweep.run(1).assign({"learning_rate": -1.0, "optimizer": None, "unknown": 1}, {})
    write_epochs(sweep.run(1), [])
    sweep.run(1).end({"state": "failed", "best_value": None})
    content = shown(sweep)
    assert [trial["values_of"] for trial in content["trials"]] == [
        {"optimizer": "['adam', 'sgd']"},
        {"learning_rate": "-1.0", "optimizer": "None"},
    ]
    assert states(content) == ["Running", "Fail"]


def test_nothing_can_be_changed_and_nothing_is_written(sweep: TinySweep) -> None:
    work(sweep)
    (sweep.run(0).path / "hyperparameters.json").unlink()  # That run counts as failed.
    before = {path: path.stat().st_mtime_ns for path in sweep.folder.rglob("*")}
    with served(sweep) as address:
        before_requests = detail(address)
        assert states(before_requests) == ["Fail", "Complete", "Complete", "Fail"]
        for method, path in [
            ("DELETE", "studies/0"), ("POST", "studies"), ("POST", "studies/0/rename"),
            ("PUT", "studies/0/note"), ("PUT", "studies/0/1/note"), ("POST", "trials/1/tell"),
        ]:  # fmt: skip
            status, content = request(address, f"/api/{path}", method)
            assert (status, b"read-only" in content) == (405, True)
        ((importance,),) = fetch(address, "/0/param_importances")["param_importances"]
        assert importance["name"] == "learning_rate"
        assert detail(address) == before_requests
    assert {path: path.stat().st_mtime_ns for path in sweep.folder.rglob("*")} == before


def test_only_names_of_this_host_are_answered(sweep: TinySweep) -> None:
    """A page whose own name resolves to this address (DNS rebinding) reads nothing."""
    own = ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "10.1.2.3", platform.node()]
    foreign = [
        "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example",
        "evil@localhost", "127.0.0.1,evil.example", "[evil]", "localhost:8080:1", "", None,
    ]  # fmt: skip
    with served(sweep) as address:
        for path in ("/api/studies", "/csv/0", "/dashboard", "/static/bundle.js", "/favicon.ico"):
            assert [request(address, path, host=host)[0] for host in own] == [200] * len(own), path
            assert {request(address, path, host=host)[0] for host in foreign} == {403}, path


def test_taken_port_and_missing_sweep_are_reported(
    sweep: TinySweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert dashboard.main(flags(sweep, "--port", port)) == 1
    assert f"--port {port}: Address already in use; --port 0" in capsys.readouterr().err
    assert dashboard.main(["--sweep", str(tmp_path / "none.json")]) == 1
    assert "create_sweep" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        dashboard.main(["--port", "65536"])
    assert "65536 is not between 0 and 65535" in capsys.readouterr().err
