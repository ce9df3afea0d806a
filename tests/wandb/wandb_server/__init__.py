"""A W&B server for tests, on this machine and in this process: real clients talk to it.

    with WandbServer() as server:
        subprocess.run([...], env=server.environment(), check=True)
        assert server.runs["abc"].state == "finished"

It speaks what wandb's SDK 0.31 says for runs, sweeps, agents, artifacts, `wandb sync` and
`wandb.Api()`. Sweeps search as the service does, but for bayes, which draws at random here.
"""

from .server import API_KEY, WandbServer

__all__ = ["API_KEY", "WandbServer"]
