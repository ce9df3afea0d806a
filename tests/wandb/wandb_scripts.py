"""What the clients in test_wandb_server.py run; Client in wandb_clients.py tells how."""

LOG_ALL = """
run = wandb.init(project="mill", id="first", name="nice", group="crew", job_type="train",
                 config={"lr": 0.5, "net": {"layers": 2}}, tags=["wood"])
print("said aloud")
for step in range(4):
    run.log({"loss": 1 / (step + 1), "step": step})
run.log({"loss": float("nan")})
run.summary["best"] = 0.25
model = wandb.Artifact("model", type="model", metadata={"epoch": 3})
with model.new_file("weights.bin", mode="wb") as file:
    file.write(b"w" * 1000)
run.log_artifact(model, aliases=["best"]).wait()
run.finish(exit_code=3)
"""
READ_ALL = """
api = wandb.Api()
run = api.run("workshop/mill/first")
found = api.artifact("workshop/mill/model:best")
folder = found.download("downloaded")
with wandb.init(project="mill", id="user") as user:
    user.use_artifact("model:best")
tell(
    state=run.state, config=run.config, best=run.summary["best"], group=run.group,
    history=[row["loss"] for row in run.history(pandas=False)],
    scan=[row["loss"] for row in run.scan_history(keys=["loss"])],
    files=[file.name for file in run.files()], console=[x.content for x in run.console_logs()],
    logged=[one.name for one in run.logged_artifacts()], creator=found.logged_by().id,
    weights=open(folder + "/weights.bin").read(), metadata=found.metadata, aliases=found.aliases,
    users=[one.id for one in found.used_by()],
    failed=[one.id for one in api.runs("workshop/mill", filters={"config.lr.value": 0.5})],
    no_run=error(lambda: api.run("workshop/mill/none")),
    no_sweep=error(lambda: api.sweep("workshop/mill/none")),
    no_project=error(lambda: list(api.runs("workshop/none"))),
    no_artifact=error(lambda: api.artifact("workshop/mill/model:none")),
    no_entity=error(lambda: wandb.sweep({"parameters": {"a": {"value": 1}}}, entity="nobody")),
    no_agent=error(lambda: wandb.agent("workshop/mill/none", function=print)),
)
"""
RESUME = """
def one(resume, values, name="long"):
    with wandb.init(project="mill", id=name, resume=resume, config={"lr": 1}) as run:
        tell(**{f"{resume} starts at": run.starting_step, f"{resume} resumed": run.resumed})
        for value in values:
            run.log({"loss": value})
tell(missing=error(lambda: one("must", [], "none")))
one("allow", [1, 2, 3])
one("must", [4, 5])
tell(exists=error(lambda: one("never", [])))
"""
OFFLINE = LOG_ALL.replace(".wait()", "")
PREEMPTED = """
def train():
    with wandb.init(resume="allow") as run:
        tell(**{f"config {run.starting_step}": dict(run.config), "sweep": run.sweep_id})
        run.log({"loss": 1})
        if not run.resumed:
            run.mark_preempting()
            raise RuntimeError("the machine is taken away")
sweep = wandb.sweep({"method": "grid", "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"net": {"parameters": {"layers": {"values": [7]}}}, "lr": {"value": 0.5}}},
    entity="workshop", project="search")
wandb.agent(sweep, function=train, entity="workshop", project="search", count=2)
found = wandb.Api().sweep(f"workshop/search/{sweep}")
rows = [(run.id, run.config, run.summary["loss"], list(run.scan_history(["loss"])))
        for run in found.runs]
tell(state=found.state, runs=rows, best=found.best_run().id, method=found.config["method"])
"""
PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
import wandb
run = wandb.init()
loss = float(sys.argv[1].removeprefix("--loss="))
for step in range(6 if loss < 2 else 600):  # the worse one ends only if it is stopped
    run.log({"loss": loss})
    time.sleep(0.1 if loss < 2 else 0.5)
"""
SWEEP = """
program: program.py
project: search
method: grid
metric: {name: loss, goal: minimize}
parameters: {loss: {values: [1.5, 2.5]}}
early_terminate: {type: hyperband, min_iter: 2, eta: 3}
command: [PYTHON, "${program}", "${args}"]
"""
LONG = """
run = wandb.init(project="mill", id="stopped")
try:
    for step in range(3000):
        run.log({"loss": step})
        time.sleep(0.1)
except KeyboardInterrupt:
    tell(interrupted=True)
    raise
"""
STATES = """
from wandb.cli.cli import cli
states = {}
for flag in ("pause", "resume", "stop", "resume", "cancel"):
    cli(["sweep", f"--{flag}", arguments], standalone_mode=False)
    states[flag] = wandb.Api().sweep(arguments).state
tell(**states)
tell(again=error(lambda: cli(["sweep", "--pause", arguments], standalone_mode=False)))
tell(agent=error(lambda: wandb.agent(arguments, function=print)))
"""
