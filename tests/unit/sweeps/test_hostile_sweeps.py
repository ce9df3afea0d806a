"""Hostile and fuzzed sweeps: each is read or refused with one message, in bounded time."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from fuzzing import fuzz, mutations
from hostile_yaml import READ, REFUSED, mutate_yaml
from sweep_documents import SHIPPED, sweep_document

from gcodefp.errors import UserError
from gcodefp.sweeps.check import describe_specification, problems
from gcodefp.sweeps.expressions import Expression
from gcodefp.sweeps.fixes import apply_fixes
from gcodefp.sweeps.sampling import ConfigurationSequence, Exhausted, check_possible, total_runs
from gcodefp.sweeps.search_options import read_options
from gcodefp.sweeps.specification import load_specification, read_specification
from gcodefp.sweeps.trainable import check_trainable
from gcodefp.yaml_input import load_yaml, read_text

EXPRESSIONS = (
    *("d_model % nhead == 0", "optimizer in ['adam', 'adamw'] or not momentum > 1"),
    *("1 < nhead <= 4 != 5", "model.depth // 5 - 2 * nhead + 1 >= -0.5", "optimizer == 'sgd'"),
)
NAMES = {"d_model": 64, "nhead": 4, "optimizer": "sgd", "model.depth": 3, "momentum": 0.5}
DISTRIBUTIONS = {
    "learning_rate": {"distribution": "q_log_uniform_values", "min": 0.1, "max": 1.0, "q": 0.1},
    "augmentation_prob": {"distribution": "beta", "a": 2.0, "b": 5},
    "weight_decay": {"distribution": "log_normal", "mu": -5.0, "sigma": 1.0},
    "batch_size": {"values": [8, 16, 64], "probabilities": [0.5, 0.25, 0.25]},
    "model": {"parameters": {"d_model": {"values": [32, 64]}, "num_layers": {"min": 1, "max": 3}}},
}
METRIC = {"name": "val/loss", "goal": "minimize", "target": 0.1, "impute": "best"}
BANDS = {"type": "hyperband", "min_iter": 3, "eta": 2, "strict": True}
DOCUMENTS = (
    sweep_document(method="bayes", early_terminate=BANDS, metric=METRIC, parameters=DISTRIBUTIONS),
    sweep_document(method="grid", parameters={"seed": {"min": 0, "max": 9}}, name="x"),
)


MESSAGES = {
    "key twice": "run_cap appears twice, in lines 2 and 5; keep one of them",
    "key twice by quotes": "run_cap appears twice",
    "deep flow": "nested more than 50 levels deep; make it flatter",
    "date out of range": "name: '2001-99-99' is not a valid timestamp (month must be in 1..12)",
    "digits": "is too long a number; write it in quotes",
    "alias of itself": "refers to itself; write it out",
    "alias bomb": "has more than 100000 values",
    "300,000 values": "more than 100000 values; write fewer, or a range with min and max",
    "utf-16": "not UTF-8 text",
    "method: Random": "method: 'Random' is none of grid, random, bayes; did you mean 'random'?",
}


class Reader:
    """All that check_sweep and create_sweep do with a sweep before they write."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "sweep.yaml"

    def __call__(self, content: str | bytes) -> None:
        self._path.write_bytes(content if isinstance(content, bytes) else content.encode())
        text = read_text(self._path)
        problems(load_yaml(text, "sweep.yaml"), "sweep.yaml")
        apply_fixes(text, "sweep.yaml")
        sweep = load_specification(self._path)
        check_trainable(sweep, "sweep.yaml")
        try:
            check_possible(sweep, 0)
            runs = total_runs(sweep) if sweep.method == "grid" else 3
        except UserError as error:
            raise UserError(f"sweep.yaml: {error}") from None
        with suppress(Exhausted):
            ConfigurationSequence(sweep, 0).propose(min(runs, 3) - 1, [])
        describe_specification(sweep)
        written = json.loads(json.dumps(dict(sweep.document), allow_nan=False))
        assert (
            read_specification(written, "sweep.json").identity_content() == sweep.identity_content()
        )


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_yaml_is_refused_with_one_message(name: str, tmp_path: Path) -> None:
    reader, content = Reader(tmp_path), REFUSED[name]
    result = fuzz(reader, iter([content]), 1)
    assert (result.refused, result.faults) == (1, [])
    with pytest.raises(UserError) as error:
        reader(content)
    assert "sweep.yaml" in str(error.value)
    assert MESSAGES.get(name, "") in str(error.value)
    assert len(str(error.value)) < 1500


@pytest.mark.parametrize("name", READ)
def test_odd_yaml_is_read(name: str, tmp_path: Path) -> None:
    fuzz(Reader(tmp_path), iter([READ[name]]), 1).check()


def test_numbers_of_another_base_are_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "parameters: {seed: {values: [016, 032, 16]}, batch_size: {value: 1:30}}\n"
    (tmp_path / "sweep.yaml").write_text(f"method: grid\nrun_cap: 2\n{text}", encoding="utf-8")
    values = load_specification(tmp_path / "sweep.yaml").parameters["seed"].choices
    assert values == (14, 26, 16)
    warned = [record.getMessage().partition(": parameters.")[2] for record in caplog.records]
    assert [line.partition("; ")[0] for line in warned] == [
        "seed.values[0]: YAML reads 016 as 14",
        "seed.values[1]: YAML reads 032 as 26",
        "batch_size.value: YAML reads 1:30 as 90",
    ]


def sweeps() -> Iterator[bytes]:
    valid = [path.read_bytes() for path in SHIPPED]
    valid += [yaml.safe_dump(document, sort_keys=False).encode() for document in DOCUMENTS]
    return mutations(valid, mutate_yaml)


def expressions() -> Iterator[bytes]:
    return mutations([text.encode() for text in EXPRESSIONS], mutate_yaml)


def read_expression(content: bytes) -> None:
    """As a constraint of a sweep with these parameters, and with these values."""
    text = content.decode(errors="replace")
    Expression(text, set(NAMES), "sweep.constraints[0]").holds(NAMES)
    entries = {name: {"value": value} for name, value in NAMES.items() if "." not in name}
    entries["model"] = {"parameters": {"depth": {"min": 1, "max": 9}}}
    sweep = read_specification(sweep_document(parameters=entries), "sweep.yaml")
    read_options(sweep.parameters, constraints=[text], conditions={"momentum": text})


def test_fuzzed_sweeps(tmp_path: Path) -> None:
    for document in DOCUMENTS:
        Reader(tmp_path)(yaml.safe_dump(document))
    fuzz(Reader(tmp_path), sweeps()).check()


def test_fuzzed_expressions() -> None:
    fuzz(read_expression, expressions()).check()
