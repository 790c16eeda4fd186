"""Whatever is in the records of a run: they are read, or one sentence names the file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.errors import InvalidInput
from ex4d_training.checkpoints import InputFingerprints, TrainState, latest_checkpoint
from ex4d_training.metrics import METRICS, Metrics, read_metrics

few = settings(derandomize=True, max_examples=150, deadline=None, database=None)

TEXTS = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)

STATE = TrainState(
    steps=2,
    origin=InputFingerprints(model="m", data="d", rank=4, camera_hidden=16),
    sampler={"length": 6, "seed": 0, "seen": 4},
    batches={"batch_size": 2, "accumulate": 1, "processes": 1},
)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder for the files of a test."""
    return tmp_path_factory.mktemp("place")


@few
@given(
    changes=st.dictionaries(
        st.sampled_from([field.name for field in attrs.fields(TrainState)]) | TEXTS, JSON, max_size=2
    ),
    inner=st.dictionaries(st.sampled_from(["rank", "model", "length", "seen", "processes"]) | TEXTS, JSON, max_size=2),
)
@pytest.mark.slow
def test_any_state_of_a_checkpoint_is_read_or_refused(place, changes, inner):
    good = {"format": 1, **attrs.asdict(STATE)}
    nested = {name: {**good[name], **inner} for name in ("origin", "sampler", "batches")}
    for tree in ({**good, **changes}, *({**good, name: value} for name, value in nested.items())):
        root = Path(tempfile.mkdtemp(dir=place))
        (root / "step-00000002").mkdir()
        (root / "step-00000002" / "state.json").write_text(json.dumps(tree))
        try:
            assert isinstance(latest_checkpoint(root, origin=STATE.origin).state.sampler["seen"], int)
        except InvalidInput as error:
            if str(root / "step-00000002") not in str(error):
                raise AssertionError("the checkpoint is not named") from error


@few
@given(lines=st.lists(st.binary(max_size=40) | JSON.map(lambda tree: json.dumps(tree).encode()), max_size=4))
@pytest.mark.slow
def test_whatever_is_in_the_metrics_those_of_the_run_are_found_and_the_rest_stays(place, lines):
    path = Path(tempfile.mkdtemp(dir=place)) / METRICS
    before = b"\n".join([*lines, b'{"step": 2, "loss": 1.5}', b'{"step": 4, "loss": 1.5}', b""])
    path.write_bytes(before)
    with Metrics(path.parent, "none", after=2) as metrics:
        metrics.log(3, {"loss": 0.5})
    assert read_metrics(path.parent)[-2:] == [{"step": 2, "loss": 1.5}, {"step": 3, "loss": 0.5}]
    kept = path.read_bytes().splitlines()
    assert [line for line in before.splitlines() if b"step" not in line] == [
        line for line in kept if b"step" not in line
    ]
