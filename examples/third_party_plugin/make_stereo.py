"""Write a side-by-side stereo video of the synthetic room: `python make_stereo.py stereo.mkv`."""

import sys

import torch

from ex4d_core import Video, write_video
from ex4d_depth_stereo.contract import BASELINE, both_eyes

if __name__ == "__main__":
    left, right = both_eyes(num_frames=3, width=160, height=120)
    frames = torch.cat([left.video.frames, right.frames], dim=2)
    write_video(Video(frames=frames, fps=right.fps), sys.argv[1])
    print(f"{sys.argv[1]}: 3 frames, baseline {BASELINE}")
