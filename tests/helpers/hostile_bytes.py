"""Files changed at random, and what readers of them must do."""

from hypothesis import strategies as st

from ex4d_core.errors import InputNotFound, InvalidInput


@st.composite
def mutated(draw, data: bytes):
    """Return bytes with some cut off, changed or put in, mostly near the start, where headers are."""
    at = draw(st.integers(0, min(len(data), 400)) | st.integers(0, len(data)))
    put = draw(
        st.binary(max_size=40) | st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"])
    )
    return data[:at] + put + data[at + draw(st.sampled_from([0, len(put), 60, len(data)])) :]


def refused(read, path):
    """Run a reader on a file: it returns, or refuses the file by name in a sentence of bounded length."""
    sentence = ""
    try:
        read(path)
    except (InvalidInput, InputNotFound) as error:
        sentence = str(error)
    assert not sentence or (path.name in sentence and len(sentence) < 1000)
