"""What each figure shows, in the order of the report; `workflow/report/` says the same."""

TITLES = {
    "toolpath": "One toolpath",
    "accuracy": "Accuracy",
    "axis_errors": "Axis errors",
    "toolpaths": "All toolpaths",
    "confusion": "Confusions",
    "learning_curves": "Learning curves",
    "sweep": "Sweep",
    "dataset": "Data",
}

CAPTIONS = {
    "toolpath": (
        "The test recording of median exact-line accuracy. Left: the path of the blocks that the "
        "machine executed, as far as the recording's rows hold them. Right: the path of the "
        "written blocks over it. Blue moves are those that were executed; a thin red line is "
        "where a written block leads astray, with a cross at the end of a wrong one and a dot at "
        "the end of a right one that starts at a wrong place. Lines may leave the frame. Below: Z "
        "of each row's block over time."
    ),
    "toolpaths": (
        "The same for the test recordings, at most twelve, from the best to the worst; where "
        "there are more, they are picked evenly over the ranking, best and worst among them."
    ),
    "accuracy": (
        "Share of lines, words and fields that are right on the test split, written freely, with "
        "no true word as input. Bars are 95 % intervals from a bootstrap over recordings."
    ),
    "axis_errors": (
        "Mean absolute error of written X, Y and Z words, in mm, with 95 % intervals. Only the n "
        "words count that both the written and the true line have, so models that write other "
        "words are measured on other rows."
    ),
    "confusion": (
        "What was written (columns) in place of what was true (rows), word by word up to the end "
        "of the true line. Shades are shares of a row, numbers are counts. Words of another kind, "
        "and words missing because the written line had ended, have a column of their own."
    ),
    "learning_curves": (
        "The metric that chooses the winner, and the loss, after each epoch of each run. The "
        "circle is the epoch whose weights were evaluated."
    ),
    "sweep": (
        "The best value of each run: over the runs, and against each hyperparameter that varied. "
        "Runs that were stopped early had no chance to reach their best."
    ),
    "dataset": (
        "Rows of each operation in each split, and how many rows and samples each cleaning rule "
        "touched."
    ),
}
"""File stem of the figure -> its caption."""
