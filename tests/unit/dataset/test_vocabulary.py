import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gcodefp.dataset.vocabulary import COMMAND, END, PAD, PARAMETER, UNSEEN, build_vocabulary
from gcodefp.recordings.gcode import Word, format_block

words = st.builds(Word, st.sampled_from("FGMXYZ"), st.integers(-9, 9).map(lambda n: n / 4 + 0.0))
blocks = st.lists(words, min_size=1, max_size=5).map(lambda block: format_block(tuple(block)))


@settings(max_examples=30, deadline=None)
@given(st.lists(blocks, min_size=1, max_size=8))
def test_train_blocks_are_decoded_as_they_were_encoded(texts: list[str]) -> None:
    vocabulary = build_vocabulary(texts, ["face"])
    tokens = vocabulary.encode(texts)
    assert vocabulary.decode(tokens) == texts
    assert ((tokens[..., 0] == END).sum(axis=1) == 1).all()
    assert build_vocabulary([*texts[::-1], *texts], ["face", "face"]) == vocabulary


def test_the_classes_are_those_of_the_train_blocks() -> None:
    texts = ["G0 X1.5 Y-0.125", "G53 G0 Z0", "Y1.5", "M3 S9000"]
    vocabulary = build_vocabulary(texts, ["pocket", "face", "pocket"])
    assert vocabulary.commands == ("G0", "G53", "M3")
    assert vocabulary.parameter_types == ("S", "X", "Y", "Z")
    assert vocabulary.parameter_values == (-0.125, 0.0, 1.5, 9000.0)
    assert vocabulary.operations == ("face", "pocket")
    assert vocabulary.steps == 4
    assert vocabulary.encode(["G0 Y1.5"]).tolist() == [
        [
            [COMMAND, 0, UNSEEN, UNSEEN],
            [PARAMETER, UNSEEN, 2, 2],
            [END, UNSEEN, UNSEEN, UNSEEN],
            [PAD, UNSEEN, UNSEEN, UNSEEN],
        ]
    ]
    # Each field has its own classes.
    assert vocabulary.encode(["G2", "X7", "Q1.5"])[:, 0].tolist() == [
        [COMMAND, UNSEEN, UNSEEN, UNSEEN],
        [PARAMETER, UNSEEN, 1, UNSEEN],
        [PARAMETER, UNSEEN, UNSEEN, 2],
    ]


def test_a_block_longer_than_the_steps_is_cut_without_an_end() -> None:
    vocabulary = build_vocabulary(["G1 X1 Y2 Z3", "G1"], ["face"])
    tokens = vocabulary.encode(["G1 X1 Y2 Z3", "G1"], steps=2)
    assert tokens[:, :, 0].tolist() == [[COMMAND, PARAMETER], [COMMAND, END]]
    assert vocabulary.decode(tokens) == ["G1 X1", "G1"]
    padded = vocabulary.encode_rows(np.array(["G1", "G1 X1 Y2 Z3"]))
    assert padded.shape == (2, 6, 4)
    assert padded[1, :, 0].tolist() == [COMMAND, PARAMETER, PARAMETER, PARAMETER, END, PAD]
