"""Scores the best run's model on digits that its training has not seen."""

import json
import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

images, labels = load_digits(return_X_y=True)
_, rest_x, _, rest_y = train_test_split(images / 16, labels, random_state=0)
_, test_x, _, test_y = train_test_split(rest_x, rest_y, train_size=0.5, random_state=0)
model = joblib.load(Path(sys.argv[1]) / "model.joblib")
print(json.dumps({"test digits": len(test_y), "test accuracy": model.score(test_x, test_y)}))
