"""Sound: clicks stay on the frames that flash, in any container."""

import errno
from fractions import Fraction

import av
import pytest

from ex4d_core.errors import OutputFailed
from ex4d_core.video_io import Sound, count_tracks, read_video, write_video
from ex4d_core.video_io import sound as sound_module
from tests.helpers.sounds import audio_codecs, clicking_clip, clicks, flashes


@pytest.mark.parametrize(
    ("name", "codec", "output", "written"),
    [
        ("a.mp4", "aac", "o.mp4", "aac"),
        ("a.mkv", "ac3", "o.mp4", "ac3"),
        ("a.mp4", "libmp3lame", "o.mov", "mp3"),
        ("a.mkv", "libopus", "o.mp4", "opus"),
        ("a.mov", "pcm_s16le", "o.mp4", "aac"),
        ("a.mov", "pcm_s16le", "o.mov", "pcm_s16le"),
        ("a.mkv", "flac", "o.mp4", "aac"),
        ("a.ts", "aac", "o.mkv", "aac"),
    ],
)
@pytest.mark.parametrize("start", [0, 17])
def test_clicks_stay_on_their_frames(tmp_path, name, codec, output, written, start):
    clip = clicking_clip(tmp_path / name, codec)
    video = read_video(clip, start=start, num_frames=30)
    write_video(video, tmp_path / output, sound=Sound(clip=clip, start=Fraction(start, 25)))
    assert audio_codecs(tmp_path / output) == [written]
    seen, heard = flashes(tmp_path / output), clicks(tmp_path / output)
    assert len(seen) == 3
    assert heard == pytest.approx(seen, abs=0.005)
    again = read_video(tmp_path / output)
    assert (again.fps, again.num_frames) == (25, 30)


def test_sound_longer_than_the_video_is_cut(tmp_path):
    clip = clicking_clip(tmp_path / "a.mp4", seconds=5)
    write_video(read_video(clip), tmp_path / "o.mp4", sound=Sound(clip=clip))
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.duration == pytest.approx(2e6, abs=0.04e6)


def test_sound_that_ends_before_the_first_frame_adds_nothing(tmp_path):
    clip = clicking_clip(tmp_path / "a.mov", "pcm_s24le", seconds=0.5)
    write_video(read_video(clip, start=25), tmp_path / "o.mp4", sound=Sound(clip=clip, start=Fraction(1)))
    assert audio_codecs(tmp_path / "o.mp4") == []


def test_all_tracks_are_copied(tmp_path):
    clip = clicking_clip(tmp_path / "a.mp4", tracks=2)
    write_video(read_video(clip), tmp_path / "o.mp4", sound=Sound(clip=clip))
    assert clicks(tmp_path / "o.mp4", track=1) == pytest.approx(flashes(tmp_path / "o.mp4"), abs=0.005)


def test_more_tracks_than_players_show_are_left_out(tmp_path, monkeypatch):
    clip, warnings = clicking_clip(tmp_path / "a.mp4", tracks=2), []
    monkeypatch.setattr(sound_module, "MOST_TRACKS", 1)
    write_video(read_video(clip), tmp_path / "o.mp4", sound=Sound(clip=clip), warn=warnings.append)
    assert warnings == [f"{clip} has 2 audio tracks; only the first 1 are added"]
    assert audio_codecs(tmp_path / "o.mp4") == ["aac"]


def test_a_track_of_an_unknown_codec_is_left_out_and_named(tmp_path):
    clip = clicking_clip(tmp_path / "a.mov", "pcm_s16le")
    clip.write_bytes(clip.read_bytes().replace(b"sowt", b"wxyz"))
    warnings = []
    write_video(read_video(clip), tmp_path / "o.mp4", sound=Sound(clip=clip), warn=warnings.append)
    assert warnings == [f"the sound of {clip} is left out, since it cannot be decoded (unknown codec)"]
    assert read_video(tmp_path / "o.mp4").num_frames == 50


def test_damaged_packets_are_skipped(tmp_path):
    clip = clicking_clip(tmp_path / "a.mkv", "flac")
    with av.open(str(clip)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    data = clip.read_bytes()
    for packet in packets[2:4]:
        data = data.replace(packet, b"\0" * len(packet))
    clip.write_bytes(data)
    write_video(read_video(clip), tmp_path / "o.mp4", sound=Sound(clip=clip), warn=pytest.fail)
    heard = clicks(tmp_path / "o.mp4")
    assert heard[-3:] == pytest.approx(flashes(tmp_path / "o.mp4")[-3:], abs=0.005)


def test_a_codec_that_cannot_be_copied_is_encoded(tmp_path, monkeypatch):
    clip = clicking_clip(tmp_path / "a.mkv", "flac")
    monkeypatch.setitem(sound_module.COPIED, ".mov", frozenset({"flac"}))  # MOV refuses it
    write_video(read_video(clip), tmp_path / "o.mov", sound=Sound(clip=clip), warn=pytest.fail)
    assert audio_codecs(tmp_path / "o.mov") == ["aac"]


def test_a_full_disk_is_an_error_of_the_output(tmp_path, monkeypatch):
    clip = clicking_clip(tmp_path / "a.mp4")

    def full(*_):
        raise av.FFmpegError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sound_module, "_copied", full)
    with pytest.raises(OutputFailed, match="No space left on device"):
        write_video(read_video(clip), tmp_path / "o.mp4", sound=Sound(clip=clip))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_images_have_no_tracks(tmp_path, small_clip):
    assert count_tracks(tmp_path) == 0
    assert count_tracks(small_clip.video) == 0
