import math

import numpy as np

from gcodefp.evaluation.toolpaths import (
    SAFETY_WARNING,
    axis_numbers,
    endpoints_mm,
    reconstructed_program,
)


def test_axis_numbers_and_endpoints_of_blocks() -> None:
    nan, inch = math.nan, 25.4
    numbers = axis_numbers(np.array(["X2 Y-1", "M3", "Z.5 F9", "X2 Y-1"]))
    np.testing.assert_array_equal(numbers, [[2, -1, nan], [nan] * 3, [nan, nan, 0.5], [2, -1, nan]])
    blocks = np.array(["M3", "G0 X1", "Y2", "X3", "M5", "Z-1 X0"])
    ends = endpoints_mm(blocks, np.array([1.0, inch, inch, 1.0, 1.0, 1.0]))
    held = [3, 2 * inch, nan]
    expected = [[nan] * 3, [inch, nan, nan], [inch, 2 * inch, nan], held, held, [0, 2 * inch, -1]]
    np.testing.assert_allclose(ends, expected)


def test_a_reconstructed_program_begins_with_its_warnings() -> None:
    blocks = ["G1 X1", "X2", "X2", "M3"]
    text = reconstructed_program(blocks, "face (1)", ["leaky"])
    head = [f"({SAFETY_WARNING})", "(reconstructed by gcodefp from face _1_)", "(leaky)"]
    assert text == "\n".join([*head, *blocks]) + "\n"
