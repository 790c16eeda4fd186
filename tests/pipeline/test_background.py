"""The static background seen at other times fills holes of guidance."""

import attrs
import numpy as np
import pytest
import torch

from ex4d_core.builtin.mesh_watertight import WatertightMesh
from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.config.run_config import GuidanceOptions, VideoOptions, make_config
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.geometry.dynamic_mask import dynamic_mask
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.pipeline.background import make_plates
from ex4d_core.pipeline.clips import background_inputs, read_dynamic_mask
from ex4d_core.pipeline.codecs import load_guidance, save_guidance
from ex4d_core.pipeline.ignored import ignored_settings
from ex4d_core.pipeline.session import Session
from ex4d_core.pipeline.stages import render_guidance
from ex4d_core.types import CameraPath, DepthVideo, Intrinsics, Scene, Video
from ex4d_core.video_io import read_video, write_mask, write_video
from ex4d_core.video_io.images import write_png

CPU = torch.device("cpu")
FRAMES, HEIGHT, WIDTH, BOX, SPEED = 12, 96, 160, 24, 6
BUILDER = WatertightMesh(WatertightOptions(), device=CPU)
RENDERER = ZBufferRenderer(RasterOptions(), device=CPU)


def wall() -> torch.Tensor:
    """Return a smooth texture, uint8 [H, W, 3]."""
    coarse = torch.from_numpy(np.random.default_rng(0).uniform(40, 220, (1, 3, HEIGHT // 4, WIDTH // 4)))
    return (
        torch.nn.functional.interpolate(coarse, size=(HEIGHT, WIDTH), mode="bicubic")
        .clamp(0, 255)[0]
        .byte()
        .permute(1, 2, 0)
    )


def box_in_front(*, speed: int) -> Scene:
    """Return a box that passes in front of a wall."""
    frames = wall().repeat(FRAMES, 1, 1, 1)
    depth = torch.full((FRAMES, HEIGHT, WIDTH), 4.0)
    for frame in range(FRAMES):
        left = 8 + speed * frame
        place = frame, slice(36, 36 + BOX), slice(left, left + BOX)
        frames[place], depth[place] = wall().flip(0, 1)[:BOX, :BOX], 2.0
    lens = Intrinsics.from_fov(width=WIDTH, height=HEIGHT)
    return Scene(video=Video(frames=frames, fps=24), depth=DepthVideo(depth=depth, kind="metric", intrinsics=lens))


@pytest.fixture(scope="module")
def scene():
    return box_in_front(speed=SPEED)


@pytest.fixture(scope="module")
def path(scene):
    """Return a camera to the right of the source camera."""
    poses = torch.eye(4).repeat(FRAMES, 1, 1)
    poses[:, 0, 3] = -0.3
    return CameraPath(world_to_camera=poses, intrinsics=scene.depth.intrinsics)


@pytest.fixture(scope="module")
def plates(scene):
    return make_plates(scene, BUILDER, RENDERER, device=CPU)


def test_what_moves_is_found(scene):
    mask = dynamic_mask(scene, [6])[0]
    box = scene.depth.depth[6] < 3
    assert mask[box].float().mean() > 0.9
    assert mask[~box].float().mean() < 0.15  # its margin


def test_nothing_moves_in_a_still_clip():
    scene = box_in_front(speed=0)
    assert not dynamic_mask(scene, [0, 6]).any()
    assert make_plates(scene, BUILDER, RENDERER, device=CPU) == ()


def test_holes_show_what_was_there_at_other_times(scene, path, plates):
    alone = render_guidance(scene, path, BUILDER, RENDERER)
    filled = render_guidance(scene, path, BUILDER, RENDERER, plates=plates)
    empty = box_in_front(speed=0)
    empty = attrs.evolve(
        empty,
        video=attrs.evolve(empty.video, frames=wall().repeat(FRAMES, 1, 1, 1)),
        depth=attrs.evolve(empty.depth, depth=torch.full_like(empty.depth.depth, 4.0)),
    )
    truth = render_guidance(empty, path, BUILDER, RENDERER)
    assert alone.background is None
    assert filled.background.sum() > 0.9 * (truth.mask & ~alone.mask).sum() > 0
    assert torch.equal(filled.mask, alone.mask | filled.background)
    assert not (alone.mask & filled.background).any()
    assert torch.equal(filled.color[alone.mask], alone.color[alone.mask])
    added = filled.background & truth.mask
    assert (filled.color[added].float() - truth.color[added].float()).abs().mean() < 4


def test_a_mask_of_the_user_says_what_moves(scene):
    everything = torch.ones(FRAMES, HEIGHT, WIDTH, dtype=torch.bool)
    assert make_plates(scene, BUILDER, RENDERER, moving=everything, device=CPU) == ()


def test_masks_that_do_not_fit_are_refused(scene, tmp_path):
    file = tmp_path / "mask.mkv"
    for shape, message in (
        ((3, HEIGHT, WIDTH), "mask.mkv has 3 frames but the clip has 12; pass a mask for each frame"),
        ((1, HEIGHT, WIDTH), "mask.mkv has 1 frame but the clip has 12"),
        ((FRAMES, HEIGHT, HEIGHT), f"mask.mkv is {HEIGHT}x{HEIGHT} but the clip is {WIDTH}x{HEIGHT}; pass masks"),
    ):
        write_mask(torch.ones(*shape, dtype=torch.bool), file, fps=24)
        with pytest.raises(InvalidInput, match=f"^guidance.dynamic_mask: .*{message}"):
            read_dynamic_mask(file, VideoOptions(), scene.video)
    red = torch.tensor([250, 0, 0], dtype=torch.uint8).expand_as(scene.video.frames)
    write_video(attrs.evolve(scene.video, frames=red), file)
    with pytest.raises(InvalidInput, match=r"^guidance.dynamic_mask: .* is in color; pass masks that are white"):
        read_dynamic_mask(file, VideoOptions(), scene.video)
    with pytest.raises(InputNotFound, match=r"^guidance.dynamic_mask: .*gone.mkv does not exist"):
        background_inputs(GuidanceOptions(background="static", dynamic_mask=str(tmp_path / "gone.mkv")))


def test_a_mask_of_another_resolution_is_resized(scene, tmp_path):
    mask = torch.zeros(FRAMES, HEIGHT // 2, WIDTH // 2, dtype=torch.bool)
    mask[:, :20, :30] = True
    write_mask(mask, tmp_path / "mask.mkv", fps=24)
    read = read_dynamic_mask(tmp_path / "mask.mkv", VideoOptions(), scene.video)
    assert torch.equal(read[:, ::2, ::2], mask)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_mask_of_the_source_is_selected_as_its_frames(tmp_path, fit):
    """Frames may be read before they are passed to a session, whose options then do not describe them."""
    frames = torch.randint(0, 2, (9, 6, 10, 1), dtype=torch.uint8, generator=torch.manual_seed(0)) * 255
    frames = frames.repeat_interleave(16, 1).repeat_interleave(16, 2).expand(-1, -1, -1, 3).contiguous()
    write_video(Video(frames=frames, fps=24), tmp_path / "clip.mkv")
    write_mask(frames[..., 0] > 127, tmp_path / "mask.mkv", fps=24)
    clip = read_video(tmp_path / "clip.mkv", start=1, stride=2, num_frames=3, size=(80, 80), fit=fit)
    read = read_dynamic_mask(tmp_path / "mask.mkv", VideoOptions(), clip)
    assert (read == (clip.frames[..., 1] > 127)).float().mean() > 0.97  # pixels between two squares


def test_a_mask_of_labels_is_a_warning(scene, tmp_path):
    """Some tools write 0 and 1, which both are black."""
    for frame in range(FRAMES):
        write_png(tmp_path / f"{frame:02}.png", np.eye(HEIGHT, WIDTH, dtype=np.uint8))
    said = []
    assert not read_dynamic_mask(tmp_path, VideoOptions(), scene.video, warn=said.append).any()
    (sentence,) = said
    assert "has no white pixels (its largest value is 1 of 255), so nothing moves" in sentence


def test_artifacts_keep_the_background(scene, path, plates, tmp_path):
    guidance = render_guidance(scene, path, BUILDER, RENDERER, plates=plates)
    save_guidance(tmp_path, guidance)
    assert torch.equal(load_guidance(tmp_path).background, guidance.background)


@pytest.mark.parametrize(
    ("settings", "background"),
    [
        ({"backbone": {"name": "telea"}}, "static"),
        ({"backbone": {"name": "wan"}}, "none"),
        ({"backbone": {"name": "inpaint"}}, "none"),
        ({"backbone": {"name": "inpaint", "slip": 1}}, "none"),
        ({"backbone": {"name": "wan"}, "guidance": {"background": "static"}}, "static"),
        ({"backbone": {"name": "telea"}, "compat": "ex4d"}, "none"),
    ],
)
def test_a_backbone_declares_the_guidance_that_it_was_made_for(settings, background):
    session = Session(make_config(settings))
    assert session.guidance_options.background == background


def test_a_mask_of_the_user_that_is_not_used_is_said():
    settings = {"guidance": {"dynamic_mask": "mask.mkv"}, "backbone": {"name": "inpaint"}, "cam": ["30"]}
    (sentence,) = ignored_settings(Session(make_config(settings)), ["renderer"])
    assert sentence.startswith("guidance.dynamic_mask has no effect with guidance.background=none, for which the back")
    settings["guidance"]["background"] = "static"
    assert not ignored_settings(Session(make_config(settings)), ["renderer"])


def test_a_backbone_declares_the_mesh_that_it_was_made_for():
    def max_stretch(**mesh):
        config = make_config({"backbone": {"name": "wan"}, "mesh": mesh})
        return Session(config).choose("mesh").options.max_stretch

    assert max_stretch() == 0
    assert max_stretch(max_stretch=1.2) == 1.2


@pytest.mark.parametrize(("height", "width"), [(17, 301), (301, 17)])
def test_motion_is_found_in_long_narrow_frames(height, width):
    frames = torch.randint(0, 255, (3, height, width, 3), dtype=torch.uint8, generator=torch.manual_seed(0))
    lens = Intrinsics.from_fov(width=width, height=height)
    depth = DepthVideo(depth=torch.full((3, height, width), 2.0), kind="metric", intrinsics=lens)
    masks = dynamic_mask(Scene(video=Video(frames=frames, fps=24), depth=depth), [0, 2])
    assert masks.shape == (2, height, width)
    assert masks.any(), "noise moves"
