"""Facts about where videos and captions come from, and which videos are taken."""

from __future__ import annotations

import errno
import math
import os
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.types import Video
from ex4d_core.video_io import write_video
from ex4d_training.data.options import DataOptions
from ex4d_training.data.scan import look_at, span, stride
from ex4d_training.data.sources import VideoSource, find_videos

OPENVID = "video,caption,aesthetic score,motion score,temporal consistency score,camera motion,frame,fps,seconds\n"


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_folder_gives_the_videos_in_it_and_below_in_order(tmp_path):
    touch(tmp_path, "b.mp4", "a.MKV", "more/c.webm", "notes.txt", "picture.png")
    found = find_videos(tmp_path)
    assert [video.name for video in found.videos] == ["a.MKV", "b.mp4", "more/c.webm"]
    assert all(video.path.is_file() and not video.caption for video in found.videos)


def test_hidden_files_and_folders_are_left_out(tmp_path):
    touch(tmp_path, "a b.mp4", "._a b.mp4", ".part-host-1-x/b.mp4", "more/.trash/c.mp4")
    assert [video.name for video in find_videos(tmp_path).videos] == ["a b.mp4"]


def test_a_name_that_is_no_text_can_be_printed(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.mp4"))
    try:
        path.touch()
    except OSError:
        pytest.skip("names are text on this disk")
    (video,) = find_videos(tmp_path).videos
    assert (video.name, video.path) == ("a\\xff.mp4", path)


def test_a_name_that_no_file_can_have_is_absent(tmp_path):
    touch(tmp_path, "x.mp4")
    (tmp_path / "list.csv").write_text(f"video\nx.mp4\n{'a caption where the name should be ' * 20}\n")
    found = find_videos(tmp_path / "list.csv")
    assert ([video.name for video in found.videos], found.absent) == (["x.mp4"], 1)


def test_captions_are_read_from_texts_beside_videos(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "b.txt").write_text(" a red ball\n", encoding="utf-8-sig")
    assert [video.caption for video in find_videos(tmp_path).videos] == ["", "a red ball"]


def test_a_caption_that_is_not_a_text_is_named(tmp_path):
    touch(tmp_path, "a.mp4")
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(InvalidInput, match=r"the caption .*a.txt is a named pipe, not a regular file"):
        find_videos(tmp_path)
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt").write_bytes(bytes(2**20 + 1))
    with pytest.raises(InvalidInput, match=r"the caption .*a.txt has 1,048,577 bytes; at most 1,048,576 are read"):
        find_videos(tmp_path)


def test_a_table_that_is_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "list.csv")
    with pytest.raises(InvalidInput, match=r"the table of videos .*list.csv is a named pipe"):
        find_videos(tmp_path / "list.csv")


def test_a_table_of_one_endless_line_is_refused(tmp_path):
    with (tmp_path / "list.csv").open("wb") as file:
        file.truncate(2**32)  # it takes no room on the disk
    with pytest.raises(InvalidInput, match=r"list.csv is not a table of videos: a line has 16,777,216 characters"):
        find_videos(tmp_path / "list.csv")


def test_folders_that_cannot_be_listed_are_told(tmp_path, monkeypatch):
    """By root every folder can be listed."""
    touch(tmp_path, "a.mp4", "lost+found/b.mp4")
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("lost+found"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    found = find_videos(tmp_path)
    assert [video.name for video in found.videos] == ["a.mp4"]
    assert found.unreadable == (str(tmp_path / "lost+found"),)


def test_a_table_in_the_form_of_openvid(tmp_path):
    touch(tmp_path, "videos/x_0.mp4", "videos/y_1.mp4")
    table = tmp_path / "OpenVid-1M.csv"
    rows = 'x_0.mp4,"A man, a ""dog""\nand a tree.",5.5,2.1,0.99,pan_left,120,24.0,5.0\n'
    rows += (
        "elsewhere.mp4,Not here.,5,2,0.9,static,96,24,4\ny_1.mp4,Sea.,5,2,0.9,static,96,24,4\nx_0.mp4,Twice.,,,,,,,\n"
    )
    table.write_text(OPENVID + rows, encoding="utf-8-sig")
    found = find_videos(table)
    assert [(v.name, v.caption) for v in found.videos] == [
        ("x_0.mp4", 'A man, a "dog"\nand a tree.'),
        ("y_1.mp4", "Sea."),
    ]
    assert (found.absent, found.videos[0].path) == (1, tmp_path / "videos" / "x_0.mp4")


@pytest.mark.parametrize("header", ["Path,Text", "file_name,prompt", "video_path, caption"])
def test_other_names_of_columns(tmp_path, header):
    touch(tmp_path, "x.mp4")
    (tmp_path / "list.csv").write_text(f"{header}\nx.mp4,a ball\n")
    assert [(v.name, v.caption) for v in find_videos(tmp_path / "list.csv").videos] == [("x.mp4", "a ball")]


def test_a_table_without_captions_takes_those_beside_the_videos(tmp_path):
    touch(tmp_path, "x.mp4")
    (tmp_path / "x.txt").write_text("a ball")
    (tmp_path / "list.csv").write_text("video\nx.mp4\n\n")
    assert [v.caption for v in find_videos(tmp_path / "list.csv").videos] == ["a ball"]


def test_a_table_without_a_column_of_videos_says_which_it_has(tmp_path):
    (tmp_path / "list.csv").write_text("clip,caption\nx.mp4,a ball\n")
    with pytest.raises(InvalidInput, match=r"no column of videos \(one of video, .*\); its columns: clip, caption"):
        find_videos(tmp_path / "list.csv")


@pytest.mark.parametrize(("name", "data"), [("list.csv", b"\xff\xfevideo"), ("list.csv", b"video\n\x00\xff.mp4\n")])
def test_a_table_that_is_no_text_is_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidInput, match="cannot be read as CSV in UTF-8"):
        find_videos(tmp_path / name)


def test_a_table_of_videos_that_are_elsewhere_says_where_it_looked(tmp_path):
    (tmp_path / "list.csv").write_text("video\nx.mp4\ny.mp4\n")
    with pytest.raises(InvalidInput, match=r"none of the 2 videos in .*list.csv exists \(searched .*videos"):
        find_videos(tmp_path / "list.csv")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"contain no videos; supported suffixes: .*mp4"):
        find_videos(tmp_path)


def test_what_does_not_exist_or_is_no_table_is_refused(tmp_path):
    with pytest.raises(InputNotFound, match="does not exist; give a folder of videos, or a CSV"):
        find_videos(tmp_path / "nowhere")
    touch(tmp_path, "list.json")
    with pytest.raises(InvalidInput, match=r"neither a folder nor a .csv file"):
        find_videos(tmp_path / "list.json")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """32 frames of 64x32 at 16 a second."""
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    write_video(Video(frames=torch.full((32, 32, 64, 3), 90, dtype=torch.uint8), fps=Fraction(16)), path)
    return VideoSource(name="a.mp4", path=path)


def taken(video, **given):
    return look_at(video, DataOptions(**{"frames": 9, "size": "32x32", "min_side": 16, **given}))


def test_a_video_that_fits_is_taken(video):
    assert taken(video) is None
    assert taken(video, max_seconds=2, min_seconds=2, max_fps=16, min_fps=16, max_aspect=2, min_side=32) is None


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({"min_side": 33}, "64x32 is smaller than 33 pixels"),
        ({"max_aspect": 1.9}, "64x32 is too long and narrow"),
        ({"min_fps": 17}, "16 frames per second are too few"),
        ({"max_fps": 15}, "16 frames per second are too many"),
        ({"min_seconds": 2.1}, "2 seconds are too short"),
        ({"max_seconds": 1.9}, "2 seconds are too long"),
        ({"frames": 33}, "it has 32 frames, fewer than the 33 of a clip"),
        ({"fps": 4.0}, "it has 32 frames, fewer than the 33 of a clip"),
    ],
)
def test_each_filter_says_what_it_took(video, option, reason):
    refusal = taken(video, **option)
    assert refusal.reason == reason
    assert refusal.filter in ({*option} | {"frames"})


def test_videos_without_a_caption_are_skipped_where_that_is_asked_for(video):
    assert taken(video, missing_caption="skip").filter == "caption"
    assert taken(VideoSource(name="a", path=video.path, caption="a ball"), missing_caption="skip") is None


def test_what_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    refusal = taken(VideoSource(name="a.mp4", path=tmp_path / "a.mp4"))
    assert refusal.filter == "unreadable"
    assert "is not a video that can be read" in refusal.reason
    assert taken(VideoSource(name="b.mp4", path=tmp_path / "b.mp4")).filter == "unreadable"


def test_frames_are_left_out_for_a_lower_rate():
    options = DataOptions(fps=8.0, frames=9)
    assert [stride(options, Fraction(fps)) for fps in (6, 8, 12, 16, 24)] == [1, 1, 2, 2, 3]
    assert span(options, Fraction(24)) == 25


@pytest.mark.parametrize("given", [{"fps": 1e-9}, {"fps": -1.0}, {"masks_per_clip": 10**9}, {"max_seconds": math.nan}])
def test_numbers_are_within_bounds(given):
    with pytest.raises(ValueError, match=r"must be (0 or at least 0.001|between \d+ and \d+)"):
        DataOptions(**given)


@pytest.mark.parametrize(
    ("option", "value"), [("frames", 8), ("frames", 48), ("frames", 1), ("frames", -3), ("frames", 10**8 + 1)]
)
def test_frames_are_4k_plus_1(option, value):
    with pytest.raises(ValueError, match=r"frames must be 4k.1 between 5 and 10001"):
        DataOptions(**{option: value})


@pytest.mark.parametrize("size", [f"{'9' * 5000}x512", "500x512", "512", "0x16", "512x9999999", "512x512x3", "same"])
def test_sizes_are_multiples_of_16(size):
    with pytest.raises(ValueError, match="size must be WIDTHxHEIGHT in multiples of 16"):
        DataOptions(size=size)
