"""A training script as many have one: it knows W&B and scikit-learn, and nothing of gcodefp."""

import os
from pathlib import Path

import joblib
import wandb
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

run = wandb.init(project="digits")
config = wandb.config
images, labels = load_digits(return_X_y=True)
train_x, rest_x, train_y, rest_y = train_test_split(images / 16, labels, random_state=0)
val_x, _, val_y, _ = train_test_split(rest_x, rest_y, train_size=0.5, random_state=0)

model = MLPClassifier(
    config.hidden,
    solver=config.optimizer["type"],
    learning_rate_init=config.optimizer["rate"],
    batch_size=config.batch_size,
    random_state=config.seed,
)
for epoch in range(config.epochs):
    model.partial_fit(train_x, train_y, classes=range(10))
    wandb.log({"epoch": epoch, "loss": model.loss_, "val-acc.1": model.score(val_x, val_y)})

folder = Path(os.environ.get("GCODEFP_RUN_DIR", "."))
joblib.dump(model, folder / "model.joblib")
wandb.finish()
