"""The fork server of the crews in chaos_crew.py: a script that reads orders.

It imports torch once; a forked agent starts at once, so that a kill hits work and not an import. It
forks a manager for each crew, which forks the agents, kills them, and starts others.
"""

import codecs
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaos_crew import SLEEP_SECONDS, Orders
from crew_bodies import BODIES, Diary


def note_ends(diary: Diary) -> None:
    """Every end of a run is noted before it is written, with 1 if the run was over already."""
    from gcodefp.sweeps.run_folder import RunFolder

    usual = RunFolder.end

    def end(folder: RunFolder, content: Mapping[str, Any]) -> None:
        diary.note("end", folder.number, int(folder.is_over()))
        usual(folder, content)

    RunFolder.end = end  # type: ignore[method-assign]


def pretend_host() -> None:
    """A host of its own; its clock, and what it takes for the time of a touch, jumps by hours."""
    import socket

    name, now, touch = f"host-{os.getpid()}", time.time, os.utime
    socket.gethostname = lambda: name
    time.time = lambda: now() + random.uniform(-9, 9) * 3600

    def utime(path: Path) -> None:
        touch(path, (time.time(), time.time()))

    os.utime = utime  # type: ignore[assignment]


def patch(patches: Mapping[str, float]) -> None:
    for name, value in patches.items():
        module, _, constant = name.rpartition(".")
        assert hasattr(sys.modules[module], constant), name
        setattr(sys.modules[module], constant, value)


def fork_agent(orders: Orders, diary: Diary) -> int:
    """Starts an agent; its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        random.seed(os.getpid())
        patch(orders.patches)
        note_ends(diary)
        if orders.jumps:
            pretend_host()
        if orders.user is not None:
            os.setuid(orders.user)
        code = BODIES[orders.body](orders.told, diary)
    except BaseException:
        with (Path(orders.folder) / "errors").open("a") as errors:
            errors.write(traceback.format_exc())
    os._exit(code)


def manage(orders: Orders) -> int:
    """Keeps so many agents at work until all have left by themselves; 1 if that takes too long."""
    diary, chance, kills = Diary(Path(orders.folder)), random.Random(orders.seed), orders.kills
    working = {fork_agent(orders, diary) for _ in range(orders.agents)}
    now = time.monotonic()
    deadline, next_kill = now + orders.deadline_seconds, now + orders.kill_seconds
    try:
        while working and now < deadline:
            time.sleep(SLEEP_SECONDS)
            now = time.monotonic()
            if kills and now > next_kill:
                kills -= 1
                next_kill = now + chance.uniform(0.2, 1.8) * orders.kill_seconds
                os.kill(chance.choice(sorted(working)), signal.SIGKILL)
            for pid in sorted(working):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if not ended:
                    continue
                working.remove(pid)
                if os.WIFSIGNALED(status):
                    diary.note("killed", pid=pid)
                    working.add(fork_agent(orders, diary))
                else:
                    diary.note("gone", value=os.WEXITSTATUS(status), pid=pid)
    finally:
        for pid in working:
            os.kill(pid, signal.SIGKILL)
    return int(bool(working))


def manager(orders: Orders) -> None:
    """A process between the server and the agents; its log is theirs."""
    folder, code = Path(orders.folder), 1
    try:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(log, 2)
        code = manage(orders)
    finally:
        draft = folder / "code.tmp"
        draft.write_text(str(code), encoding="utf-8")
        draft.rename(folder / "code")
        os._exit(code)


def main() -> None:
    """Reads orders, one crew after the other; nothing here starts a thread."""
    import sweep_documents  # noqa: F401
    import torch
    import torch._dynamo  # Made with the first optimizer, in seconds.

    from gcodefp import agent  # noqa: F401
    from gcodefp.sweeps import bayes  # noqa: F401

    torch.set_num_threads(1)
    codecs.lookup("ascii")  # Loaded late; an agent that is somebody else may not read Python.
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            manager(Orders(**json.loads(line)))
        print(pid, flush=True)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
