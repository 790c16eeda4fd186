"""Depth maps and masks are compressed without loss, and damage is noticed."""

import numpy as np
import pytest
import torch

from ex4d_core.errors import InvalidInput
from ex4d_core.pipeline.packed_frames import read_frames, write_frames


def special():
    """Values whose bits differences must not change: NaN of two kinds, infinities, zeros, subnormal numbers."""
    bits = np.random.default_rng(0).integers(0, 2**32, (2, 5, 7), dtype=np.uint32)
    bits[0, 0, :4] = 0x7FC00001, 0xFFC00000, 0x80000000, 0x00000001
    return torch.from_numpy(bits.view(np.float32))


@pytest.mark.parametrize(
    "frames",
    [special(), torch.rand(1, 1, 1), torch.rand(3, 4, 5).transpose(1, 2), torch.rand(3, 5, 17) > 0.5],
    ids=["any bits", "one pixel", "not contiguous", "mask"],
)
def test_frames_are_read_back_bit_for_bit(tmp_path, frames):
    write_frames(tmp_path / "frames", frames)
    again = read_frames(tmp_path / "frames", tuple(frames.shape), frames.dtype)
    assert again.contiguous().numpy().tobytes() == frames.contiguous().numpy().tobytes()


def test_enlarged_maps_are_about_as_small_as_the_original(tmp_path):
    small = torch.rand(2, 12, 16)
    write_frames(tmp_path / "frames", small.repeat_interleave(12, 1).repeat_interleave(12, 2))
    assert (tmp_path / "frames").stat().st_size < 4 * small.nbytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:3], "does not contain frames of shape"),
        (lambda data: data[:-3], "cannot be decompressed|frame of another size"),
        (lambda data: data + b"\0", "more than 2 frames"),
        (lambda data: b"\xff" * 8 + data[8:], "ends too early"),
        (lambda data: data[:8] + b"no deflate" + data[18:], "cannot be decompressed"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, message):
    file = tmp_path / "frames"
    write_frames(file, torch.rand(2, 40, 50))
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(InvalidInput, match=message):
        read_frames(file, (2, 40, 50), torch.float32)


@pytest.mark.parametrize("shape", [(2, 40, 49), (2, 41, 50), (1, 40, 50), (0, 40, 50), (10**6, 10**4, 10**4)])
def test_another_shape_is_refused_before_memory_is_allocated(tmp_path, shape):
    write_frames(tmp_path / "frames", torch.rand(2, 40, 50))
    with pytest.raises(InvalidInput):
        read_frames(tmp_path / "frames", shape, torch.float32)
