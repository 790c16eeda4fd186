"""Read and write videos and masks. PyAV and OpenCV are imported on first use."""

from ex4d_core.video_io.clip import VideoInfo, probe_video
from ex4d_core.video_io.read import read_mask, read_video
from ex4d_core.video_io.sound import Sound, count_tracks
from ex4d_core.video_io.write import check_video_suffix, write_frames, write_mask, write_video

__all__ = [
    "Sound",
    "VideoInfo",
    "check_video_suffix",
    "count_tracks",
    "probe_video",
    "read_mask",
    "read_video",
    "write_frames",
    "write_mask",
    "write_video",
]
