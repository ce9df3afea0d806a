"""What each G and M code is: a mode, a motion, for one block, without motion, or not traced."""

from gcodefp.recordings.columns import INCH_MM
from gcodefp.recordings.interpreter.coordinates import WORK_OFFSETS
from gcodefp.recordings.interpreter.drilling import CYCLES

MODES: dict[float, dict[str, float | bool]] = {
    17: {"plane": 17},
    18: {"plane": 18},
    19: {"plane": 19},
    20: {"mm_per_unit": INCH_MM},
    21: {"mm_per_unit": 1.0},
    90: {"is_absolute": True},
    91: {"is_absolute": False},
    90.1: {"has_absolute_centres": True},
    91.1: {"has_absolute_centres": False},
    93: {"feed_mode": 93},
    94: {"feed_mode": 94},
    95: {"feed_mode": 95},
    98: {"retract": 98},
    99: {"retract": 99},
}
SPLINES = {5.0, 5.1}
MOTIONS = {0.0, 1.0, 2.0, 3.0, *SPLINES, 33.0, 38.2, 38.3, 38.4, 38.5, 80.0, *map(float, CYCLES)}
NONMODAL = {4.0, 10.0, 28.0, 28.1, 30.0, 30.1, 52.0, 53.0, 54.1, 92.0, 92.1, 92.2, 92.3}
"""They hold for their block alone; most use its axis words for themselves."""
WITHOUT_MOTION = {
    8.0, 9.0, 15.0, 40.0, 43.0, 43.1, 43.2, 44.0, 49.0, 50.0, 50.1, 61.0, 61.1, 62.0, 63.0, 64.0,
    67.0, 69.0, 69.1, 94.1, 96.0, 97.0, 103.0, 113.0, 13.1, 65.0, 187.0, 54.4, 49.1,
}  # fmt: skip
UNTRACED_MODES: dict[float, tuple[float, str]] = {
    7.0: (8.0, "diameter mode"),
    12.1: (13.1, "polar interpolation"),
    16.0: (15.0, "polar coordinates"),
    41.0: (40.0, "tool radius compensation"),
    41.1: (40.0, "tool radius compensation"),
    42.0: (40.0, "tool radius compensation"),
    42.1: (40.0, "tool radius compensation"),
    51.0: (50.0, "scaling"),
    51.1: (50.1, "mirroring"),
    66.0: (67.0, "a modal macro call"),
    68.0: (69.0, "rotated coordinates"),
    68.2: (69.0, "a tilted plane"),
    112.0: (113.0, "polar interpolation"),
}
"""Modes that are not traced: the code that begins one -> the code that ends it, and its name."""
WITHOUT_TARGET = {51.0, 51.1, 65.0, 66.0, 68.0, 68.2}
"""Their axis words are no target of a motion."""
GROUPS = {
    **dict.fromkeys(MOTIONS - {80.0}, "motion"),
    **{code: next(iter(modes)) for code, modes in MODES.items()},
    **dict.fromkeys(WORK_OFFSETS, "offset"),
    **dict.fromkeys(NONMODAL - {4.0, 54.1}, "nonmodal"),
}
RETRACTIONS = {10.0, 11.0}
"""Of a printer's filament, by lengths that its firmware holds."""
PRINTER_CODES = {
    0.0, 1.0, 2.0, 3.0, 4.0, 17.0, 18.0, 19.0, 20.0, 21.0, 28.0, 53.0, *WORK_OFFSETS, 90.0, 91.0,
    92.0, 92.1,
}  # fmt: skip
MOVING_M_CODES = {
    98.0: "calls a file", 125.0: "parks", 206.0: "shifts the origin", 218.0: "sets a tool's offset",
    428.0: "shifts the origin", 600.0: "parks", 701.0: "loads filament", 702.0: "unloads filament",
}  # fmt: skip
