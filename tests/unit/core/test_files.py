import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcodefp.errors import UserError
from gcodefp.files import digest, read_json, replacing, write_json

REBUILD = "snakemake --forcerun something"


class Crash(Exception):
    """Ends a block in the middle."""


def test_replacing_puts_the_new_file_in_place(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("first")
        assert temporary.parent == path.parent, "a rename is atomic only within one folder"
        assert not path.exists()
    with replacing(path) as temporary:
        temporary.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("exception", [Crash, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, exception: type[BaseException]
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def crash() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise exception

    with pytest.raises(exception):
        crash()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_json_has_no_nan_and_an_attempt_leaves_the_old_file(tmp_path: Path, number: float) -> None:
    path = tmp_path / "file.json"
    write_json(path, "gcodefp-test-1", {"value": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, "gcodefp-test-1", {"value": number})
    assert read_json(path, "gcodefp-test-1", REBUILD)["value"] == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        (b"", "not JSON"),
        (b'{"format": "gcodefp-test-1"', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[1, 2]", "format is None"),
        (b'{"format": "gcodefp-test-0"}', "format is 'gcodefp-test-0'"),
    ],
)
def test_error_of_a_wrong_file_names_it_and_the_command_that_makes_it(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / "file.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_json(path, "gcodefp-test-1", REBUILD)
    for part in (str(path), complaint, REBUILD):
        assert part in str(error.value)


documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1), documents, max_size=4))
def test_digest_depends_on_content_and_not_on_the_order_of_keys(content: dict[str, object]) -> None:
    backwards = dict(reversed(content.items()))
    assert digest(backwards) == digest(json.loads(json.dumps(content)))
    assert digest({**content, "one more": 1}) != digest({**content, "one more": 2})
