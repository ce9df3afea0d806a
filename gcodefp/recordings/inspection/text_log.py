"""Recognises a text log, whose lines begin with a time, and guesses the regex that reads it."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

HOST_TIMES: tuple[tuple[str, dict[str, Any]], ...] = (
    (r"\b\d{13}\b", {"format": "unix", "unit": "ms"}),
    (r"\b\d{9,10}(?:\.\d+)?\b", {"format": "unix"}),
    (
        r"(?:\d{4}-\d\d-\d\d|\d\d\.\d\d\.\d{4})[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?"
        r"(?:Z|[+-]\d\d:?\d\d)?",
        {"format": "iso8601", "timezone": "UTC"},
    ),
    (r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?", {"format": "time_of_day"}),
    (r"\b\d+\.\d+\b", {"format": "seconds"}),
)
"""How a host may write the time in front of a report, and the clock that reads it."""
_TIME = "|".join(pattern for pattern, _ in HOST_TIMES)
_IN_BRACKETS = re.compile(rf"\s*\[\s*(?:{_TIME})\s*\]")
_BEFORE_PAIRS = re.compile(rf"\s*(?:{_TIME})[^=]*\b[A-Za-z_]\w*=\S")
_WORD = r"[^\s,;|]+"
_PAIR = re.compile(rf"\b([A-Za-z_]\w*)=(\([^()]*\)|{_WORD})")
_NUMBER = r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?"
_TUPLE = re.compile(rf"\({_NUMBER}(?:[;,]\s*{_NUMBER})+\)")
_LOG_WORDS = (
    "TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL",
    r"N\d+",
    r"(?i:line|ln)\W{1,2}\d+",
)
"""Levels, N words, line numbers."""
_LINES = (r"\bN(?P<line>\d+)\b", r"\b(?i:line|ln)\W{1,2}(?P<line>\d+)\b")
"""How a log may write the line that runs."""
_POSITIONS = (
    r"(?:[(\[]|\b[Pp]os\w*\W)\s*" + r"[;,\s]\s*".join(f"(?P<{axis}>{_NUMBER})" for axis in "xyz"),
    ".*?".join(rf"\b{axis.upper()}[=:]?\s*(?P<{axis}>{_NUMBER})" for axis in "xyz"),
)


def is_text_log(lines: Sequence[str]) -> bool:
    """Whether most lines begin with a time that is in brackets or that `key=value` follow."""
    texts = [line for line in lines if line.strip()]
    return sum(bool(_IN_BRACKETS.match(t) or _BEFORE_PAIRS.match(t)) for t in texts) > (
        0.5 * len(texts)
    )


def has_log_words(lines: Sequence[str], separator: str = "") -> bool:
    """Whether a level, such as INFO, or a line number follows the time in most lines.

    Args:
        separator: of a table that the lines may be; what is behind it is another field.
    """
    texts = [line for line in lines if line.strip()]
    before = rf"\W*(?:{_TIME})[^\n{re.escape(separator)}]*?"
    return any(
        sum(bool(re.match(rf"{before}\b(?:{word})\b", text)) for text in texts) > 0.5 * len(texts)
        for word in _LOG_WORDS
    )


def guess_line_regex(lines: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """A regex with the groups `time`, `line` and, where they are, x, y and z, and its clock.

    Both are empty without a line. Such as `09:00:01.5 INFO exec N10 @ (1.0, 2.0, 3.0)` matches it.
    """
    matches = {
        word: [(m, text) for text in lines if (m := re.match(f".*?{word}", text))]
        for word in _LINES
    }
    # A constant, such as the name of a part, is no line that runs.
    for line_word in sorted(_LINES, key=lambda w: -len({m["line"] for m, _ in matches[w]})):
        reports = [(m.group(), text) for m, text in matches[line_word]]
        time, clock = host_time(reports[0][0]) if reports else ("", {})
        if not time:
            continue
        regex = rf"^\W*{time}.*?{line_word}"
        longer = [f"{regex}.*?{positions}" for positions in _POSITIONS]
        for each in [*longer, regex]:
            if sum(bool(re.search(each, text)) for _, text in reports) > 0.5 * len(reports):
                return each, clock
    return "", {}


_OF_A_TIME = "(?i:[ap]m|utc|gmt|cet|cest|[ecmp][sd]t|m?s|min|h)"
"""Words behind a time that belong to it."""


def guess_fields_regex(lines: Sequence[str]) -> str:
    """A regex for fields behind a time and a word in one: `09:00:01.5 INFO,10,0.25`.

    Its groups are `time`, `word` and column1, column2, …; it is empty where most lines differ.
    """
    texts = [line for line in lines if line.strip()]
    time, _ = host_time(texts[len(texts) // 2] if texts else "")  # The first ones may be comments.
    for separator in ",;\t|" if time else "":
        mark = re.escape(separator)
        head = rf"^\W*{time}[^\w{mark}]+(?P<word>(?!{_OF_A_TIME}\b)[A-Za-z]\w*)\W*?{mark}"
        rests = [text[match.end() :] for text in texts if (match := re.match(head, text))]
        rows = csv.reader(rests, delimiter=separator, skipinitialspace=True)
        is_quoted = any(separator in field for row in rows for field in row)
        if len(rests) > 0.5 * len(texts) and not is_quoted:
            ((count, _),) = Counter(rest.count(separator) for rest in rests).most_common(1)
            names = [f"column{number}" for number in range(1, count + 2)]
            fields = (rf'\s*"?(?P<{name}>[^{mark}"]*)"?' for name in names)
            return f"{head}{mark.join(fields)}$"
    return ""


def guess_regex(lines: Sequence[str]) -> str:
    """A regex with the groups `time` and the keys of `key=value`; empty if there are no keys.

    The keys are those of most lines that have any. `pos=(1;2;3)` becomes pos_x, pos_y and pos_z.
    """
    pairs = [(line, dict(_PAIR.findall(line))) for line in lines if _PAIR.search(line)]
    if not pairs:
        return ""
    (keys, _), *_ = Counter(tuple(values) for _, values in pairs).most_common(1)
    common = [(line, values) for line, values in pairs if tuple(values) == keys]
    prefix = common[0][0].partition(f"{keys[0]}=")[0]
    time, _ = host_time(re.sub(r"^\W*", "", prefix), re.match)
    groups = [rf"\b{key}={_group(key, [values[key] for _, values in common])}" for key in keys]
    regex = ".*?".join([rf"^\W*{time}", *groups])
    try:
        re.compile(regex)
    except re.error:  # Such as two groups of one name.
        return ""
    return regex if time else ""


def _group(key: str, values: Sequence[str]) -> str:
    if all(map(_TUPLE.fullmatch, values)):
        count = len(re.findall(_NUMBER, values[0]))
        names = "xyz" if count == len("xyz") else map(str, range(count))
        numbers = [f"(?P<{key}_{name}>{_NUMBER})" for name in names]
        return r"\(" + r"[;,]\s*".join(numbers) + r"\)"
    is_number = all(re.fullmatch(_NUMBER, value) for value in values)
    return f"(?P<{key}>{_NUMBER if is_number else _WORD})"


def matching_rows(regex: str, lines: Sequence[str]) -> pd.DataFrame:
    """The groups of the lines that match as columns, numbers where all of a column are."""
    rows = [m.groupdict() for line in lines if (m := re.search(regex, line))]
    table = pd.DataFrame(rows)
    for name in table:
        numbers = pd.to_numeric(table[name], errors="coerce")
        if numbers.notna().all():
            table[name] = numbers
    return table


def host_time(
    text: str, find: Callable[[str, str], re.Match[str] | None] = re.search
) -> tuple[str, dict[str, Any]]:
    """The group of a regex that reads the time in a text and its clock; empty without one."""
    for pattern, clock in HOST_TIMES:
        if find(pattern, text):
            return f"(?P<time>{pattern})", clock | {"column": "time"}
    return "", {}
