"""What each figure shows, in the order of the report; `workflow/report/` says the same."""

TITLES = {
    "toolpath": "One toolpath",
    "accuracy": "Accuracy",
    "axis_errors": "Position errors",
    "toolpaths": "All toolpaths",
    "confusion": "Confusions",
    "learning_curves": "Learning curves",
    "sweep": "Sweep",
    "dataset": "Data",
    "clocks": "Clocks",
}

CAPTIONS = {
    "toolpath": (
        "The test recording of median exact-line accuracy, read as a whole (the answer gcodefp, "
        "whole recording). Left: where the controller reported the tool, a few times a second; "
        "dashed where G0 moves it. Right: over it, where the sensors say that it was. Blue is on "
        "the path with the right line; orange on the path, but with the line of another moment, "
        "as when the sensors' clock is off; red is more than 0.5 mm off the path, which cut "
        "corners are too. Below: X, Y and Z over time. Where no position is reported, the blocks' "
        "ends are drawn."
    ),
    "toolpaths": (
        "The same for the test recordings, at most twelve, from the best to the worst; where "
        "there are more, they are picked evenly over the ranking, best and worst among them."
    ),
    "accuracy": (
        "Shares of rows and words that are right on the test split, and the edits per line that "
        "lead from the G-code that was read to the executed one (in stretches of one window; for "
        "whole recordings, in whole recordings). Bars are 95 % intervals from a bootstrap over "
        "recordings. The answers from sensors alone and the baselines may be compared; the others "
        "are told more, and show what that is worth."
    ),
    "axis_errors": (
        "In mm, with 95 % intervals: the median distance of the tool's position at each row, the "
        "median of the largest gap between read and true toolpath of each stretch (discrete "
        "Fréchet), and the mean distance of X, Y and Z words. Words only count where both lines "
        "have them, so answers with other words are measured on other rows."
    ),
    "confusion": (
        "What was read (columns) in place of what was true (rows) in stretches of one window, "
        "word by word up to the end of the true line. Shades are shares of a row, numbers are "
        "counts. Words of another kind, and words missing because the line that was read had "
        "ended, have a column of their own."
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
    "clocks": (
        "How far each recording's sensors lag behind the controller's clock, compared with the "
        "other recordings of its program: all of them, and operation by operation. A reader of "
        "sensors cannot know it. The lags are found with the controller's log, and used for "
        "training and for the answers that say so."
    ),
}
"""File stem of the figure -> its caption."""
