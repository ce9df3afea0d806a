"""Sweep YAMLs that broke parsers, or may: each is read, or refused with one message."""

import copy
import random
import re
from typing import Any

import yaml
from fuzzing import mutate_document, mutate_text

H = "method: random\nrun_cap: 2\nmetric: {name: val/loss, goal: minimize}\n"
"""The head of a sweep, without parameters."""
P = "parameters: {learning_rate: {min: 0.001, max: 0.01}}\n"
VALID = {
    "method": "random",
    "run_cap": "2",
    "metric": "{name: val/loss}",
    "parameters": "{learning_rate: {min: 0.001, max: 0.01}}",
}


def entry(text: str) -> str:
    """A sweep with this entry of learning_rate."""
    return f"{H}parameters:\n  learning_rate: {text}\n"


def _bomb(first: str, width: int = 9, levels: int = 9) -> str:
    lines = [f"  - &a0 {first}"]
    lines += [f"  - &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


REFUSED: dict[str, str | bytes] = {
    # No document, several, or none that is a mapping.
    "empty": "",
    "comment alone": "# nothing\n",
    "null": "~\n",
    "scalar": "3\n",
    "list": "- method: random\n",
    "two documents": f"{H}{P}---\n{H}{P}",
    "set": "!!set {method, parameters}\n",
    "pairs": "!!pairs [method: random]\n",
    # Bytes.
    "tab": "method:\trandom\nparameters:\n\tlearning_rate: 1\n",
    "binary": bytes(range(256)),
    "zeros": b"\x00" * 1000,
    "utf-16": f"{H}{P}".encode("utf-16"),
    "utf-32": f"{H}{P}".encode("utf-32"),
    "latin-1": f"{H}{P}# \xe9\n".encode("latin-1"),
    "cut": f"{H}{P}"[:-4],
    "control character": f"{H}{P}name: a\x01b\n",
    "lone surrogate": f'{H}{P}name: "\\ud800"\n',
    # Nesting and aliases.
    "deep flow": f"{H}{P}name: {'[' * 10_000}{']' * 10_000}\n",
    "deep block": f"{H}{P}name:\n" + "".join(f"{' ' * n}- \n" for n in range(200)),
    "deep mapping": f"{H}{P}name: {'{a: ' * 5000}",
    "deep groups": f"{H}parameters: {'{a: {parameters: ' * 100}{{x: {{value: 1}}}}{'}}' * 100}\n",
    "alias of itself": f"{H}parameters: &a {{learning_rate: *a}}\n",
    "alias without anchor": f"{H}parameters: *a\n",
    "alias bomb": f"{H}{P}command:\n{_bomb('[1]')}\n",
    "alias bomb as a key": f"{H}{P}name:\n{_bomb('[1]')}\n  - {{? *a8 : 1}}\n",
    # Keys.
    "key twice": f"{H}{P}run_cap: 3\n",
    "equal keys": f"{H}parameters: {{1: {{value: 1}}, 0x1: {{value: 2}}}}\n",
    "key twice by quotes": f'{H}{P}"run_cap": 3\n',
    "merge twice": f"{H}parameters: {{learning_rate: {{<<: {{min: 1}}, <<: {{max: 2}}}}}}\n",
    "merge of a number": f"{H}parameters: {{<<: 3}}\n",
    "number as key": f"{H}{P}3: 4\n",
    "truth as key": f"{H}{P}yes: 4\n",
    "null as key": f"{H}{P}~: 4\n",
    "list as key": f"{H}{P}? [1, 2]\n: 4\n",
    "mapping as key": f"{H}{P}{{a: 1}}: 4\n",
    "date as parameter": f"{H}parameters: {{2001-01-01: {{value: 1}}}}\n",
    "empty name": f"{H}parameters: {{'': {{value: 1}}}}\n",
    "slash in a name": f"{H}parameters: {{a/b: {{value: 1}}}}\n",
    "right-to-left name": f"{H}parameters: {{\u202elr: {{value: 1}}}}\n",
    "long name": f"{H}parameters: {{{'x' * 1000}: {{value: 1}}}}\n",
    # Scalars that YAML itself cannot read.
    "date out of range": f"{H}{P}name: 2001-99-99\n",
    "time out of range": f"{H}{P}name: 2001-01-01 99:99:99\n",
    "time zone out of range": f"{H}{P}name: 2001-01-01T00:00:00+99:00\n",
    "date": f"{H}{P}name: 2001-01-01\n",
    "tag of python": f"{H}{P}name: !!python/object/apply:os.system [true]\n",
    "unknown tag": f"{H}{P}name: !mine 3\n",
    "int of text": f"{H}{P}name: !!int x\n",
    "int of nothing": f"{H}{P}name: !!int ''\n",
    "float of text": f"{H}{P}name: !!float x\n",
    "bool of text": f"{H}{P}name: !!bool x\n",
    "time of text": f"{H}{P}name: !!timestamp x\n",
    "bytes of text": f"{H}{P}name: !!binary x\n",
    "bytes": f"{H}{P}name: !!binary aGVsbG8=\n",
    "value tag": f"{H}{P}name: =\n",
    "digits": f"{H}{P}name: {'9' * 5000}\n",
    "hexadecimal digits": f"{H}{P}name: 0x{'f' * 100_000}\n",
    "sexagesimal digits": entry(f"{{value: {':'.join(['59'] * 100_000)}}}"),
    "sexagesimal float": entry(f"{{value: {':'.join(['59'] * 300)}.5}}"),
    # Numbers.
    "infinite list": entry("{values: [0.1, -.inf]}"),
    "overflow": entry("{min: 0.1, max: 1.0e+400}"),
    "wide uniform": entry("{min: -1.0e+300, max: 1.0e+300}"),
    "q_log_normal overflow": entry("{distribution: q_log_normal, mu: 700.0, sigma: 50.0, q: 1}"),
    "log_uniform overflow": entry("{distribution: log_uniform, min: -1.0e+3, max: 1.0e+3}"),
    "inv_log_uniform overflow": entry("{distribution: inv_log_uniform, min: -900, max: 1}"),
    "huge sigma": entry("{distribution: normal, mu: 0.0, sigma: 1.0e+300}"),
    "run_cap of a float": f"method: random\nrun_cap: 2.5\n{P}",
    "run_cap of a truth": f"method: random\nrun_cap: yes\n{P}",
    "grid with too large a cap": (
        "method: grid\nrun_cap: 1000000\nparameters: {seed: {min: 0, max: 1000000000}}\n"
    ),
    "300,000 values": entry(f"{{values: [{', '.join(f'{n}.0e-9' for n in range(1, 300_001))}]}}"),
    "300,000 integers": f"{H}parameters: {{seed: {{values: {[*range(300_000)]}}}}}",
    "300,000 parameters": f"{H}parameters:\n" + "".join(f"  a{n}: {{}}\n" for n in range(300_000)),
    "300,000 lines": f"{H}{P}command:\n" + "- a\n" * 300_000,
    # Wrong types.
    **{
        f"{key}: {value}": "".join(f"{k}: {v}\n" for k, v in (VALID | {key: value}).items())
        for key, values in {
            "method": ("[random]", "{a: 1}", "3", "~", "Random"),
            "metric": ("[1]", "val/loss", "{name: [1]}", "{name: 3, goal: 4}", "{name: ''}", "yes"),
            "early_terminate": ("[]", "3", "{type: [1]}", "{type: hyperband, min_iter: [1]}"),
            "run_cap": ("[]", "{}", "-1", "'x'", "1.0e+308", ".nan"),
            "parameters": ("[]", "3", "~", "{a: ~}", "{a: [1]}", "{seed: {parameters: ~}}", "x"),
            "name": ("{a: 1}", "[{a: 1}]", "[.nan]"),
        }.items()
        for value in values
    },
    **{
        f"learning_rate: {text}": entry(text)
        for text in (
            *("{value: [0.1]}", "{value: true}", "{value: ~}", "{values: 3}", "{values: {a: 1}}"),
            *("{values: [[0.1]]}", "{values: [~]}", "{min: [1], max: 2}", "{min: ~, max: ~}"),
            *("{distribution: [uniform]}", "{distribution: 3}", "{distribution: uniform}"),
            *("{values: [0.1, 0.2], probabilities: 3}", "{values: [0.1], probabilities: [x]}"),
            *("{values: [0.1], probabilities: [.nan]}", "{min: true, max: false}", "{q: 3}"),
            *("{values: [0.1], probabilities: [1.0e+300]}", "{parameters: [1]}", "3", "[]", "~"),
        )
    },
}  # fmt: skip
"""Name -> a text that is refused."""

READ: dict[str, str | bytes] = {
    "byte order mark": b"\xef\xbb\xbf" + f"{H}{P}".encode(),
    "tiny q": entry("{distribution: q_uniform, min: 0.1, max: 0.9, q: 1.0e-300}"),
    "beta of nearly 0": entry("{distribution: beta, a: 1.0e-3, b: 1.0e-3}"),
    "many values": entry(f"{{values: [{', '.join(f'{n}.0e-9' for n in range(1, 30_001))}]}}"),
    "windows lines": f"{H}{P}".replace("\n", "\r\n"),
    "json": '{"method": "random", "run_cap": 2, "parameters": {"seed": {"min": 0, "max": 9}}}',
    "merge": f"{H}parameters:\n  learning_rate: {{<<: {{min: 0.1, max: 3.0}}, max: 0.5}}\n",
    "no last line end": f"{H}{P}".rstrip(),
    "end of document": f"---\n{H}{P}...\n",
    "huge grid with a cap": (
        f"{H}parameters: {{seed: {{min: 0, max: 1000000000}}}}\n".replace("random", "grid")
    ),
    "grid of huge dimensions": (
        f"{H}parameters: {{seed: {{min: 0, max: 4000000000}}, ".replace("random", "grid")
        + "batch_size: {min: 1, max: 1000000}, num_layers: {min: 1, max: 100000}}\n"
    ),
    "most runs": f"method: random\nrun_cap: 1000000\n{P}",
}
"""Name -> a text that is a sweep."""


def mutate_yaml(rng: random.Random, content: bytes) -> bytes:
    """A change of the text, of the document behind it, or of one number in the text."""
    if rng.random() < 0.6:
        return _with_near_number(rng, content)
    try:
        document = yaml.safe_load(content)
        if isinstance(document, dict) and rng.random() < 0.6:
            change = rng.choice((mutate_document, _with_key_of_another))
            return yaml.safe_dump(change(rng, document)).encode()
    except Exception:  # Whatever PyYAML or JSON make of an input that was mutated before
        pass
    return mutate_text(rng, content)


def _with_key_of_another(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """A key and its value copied from one mapping of the document into another one."""
    mappings, waiting = [], [document]
    while waiting:
        mapping = waiting.pop()
        mappings.append(mapping)
        waiting += [value for value in mapping.values() if isinstance(value, dict) and value]
    source, target = rng.choice(mappings), rng.choice(mappings)
    key = rng.choice(list(source))
    target[key] = copy.deepcopy(source[key])
    return document


def _with_near_number(rng: random.Random, content: bytes) -> bytes:
    """A number that may still be right in place of another, or a comment behind it."""
    numbers = list(re.finditer(rb"\b\d+(\.\d+)?\b", content))
    if not numbers:
        return content
    chosen = rng.choice(numbers)
    number = min(float(chosen[0]), 1e9)
    new = rng.choice((number / 2, number * 2, number + 1, round(number), int(number) ^ 1, 8))
    text = rng.choice((b"%r" % new, b"%d" % new, chosen[0] + b" "))
    return content[: chosen.start()] + text + content[chosen.end() :]
