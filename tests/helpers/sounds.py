"""Clips whose sound clicks whenever the picture flashes, and a look at when a file does both."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FPS = Fraction(25)
RATE = 48000


def clicking_clip(path: Path, codec: str = "aac", *, frames: int = 50, seconds: float = 2.0, tracks: int = 1) -> Path:
    """Write frames of 64x48 of which every tenth is white, from the sixth on, with a click at the start of each."""
    samples = np.zeros((2, round(seconds * RATE)), np.float32)
    for frame in range(5, frames, 10):
        start = round(frame / FPS * RATE)
        click = samples[:, start : start + 200]
        click[:] = 0.9 * np.sin(0.6 * np.arange(click.shape[1]))
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        streams = [container.add_stream(codec, rate=RATE, layout="stereo") for _ in range(tracks)]
        for frame in range(frames):
            image = np.full((48, 64, 3), 240 if frame % 10 == 5 else 20, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        for stream in streams:
            for start in range(0, samples.shape[1], 1024):
                piece = np.ascontiguousarray(samples[:, start : start + 1024])
                sound = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
                sound.sample_rate, sound.pts, sound.time_base = RATE, start, Fraction(1, RATE)
                container.mux(stream.encode(sound))
            container.mux(stream.encode(None))
    return path


def flashes(path: Path) -> list[float]:
    """Return the times of white frames in seconds after the first frame."""
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]
    return [time - frames[0][0] for time, shade in frames if shade > 120]


def clicks(path: Path, track: int = 0) -> list[float]:
    """Return the times of clicks in seconds after the first frame."""
    found = [-1.0]
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).time
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
        for frame in container.decode(container.streams.audio[track]):
            for piece in resampler.resample(frame):
                for sample in np.flatnonzero(np.abs(piece.to_ndarray()[0]) > 0.25):
                    time = float(piece.pts * piece.time_base) + sample / RATE - first
                    if time - found[-1] > 0.05:
                        found.append(time)
    return found[1:]


def audio_codecs(path: Path) -> list[str]:
    """Return the codec of each audio track."""
    with av.open(str(path)) as container:
        return [stream.codec_context.codec.canonical_name for stream in container.streams.audio]
