"""HDR and wide gamuts: SDR in them is restored, brighter light is compressed, and the hue is kept."""

import warnings
from fractions import Fraction

import av
import numpy as np
import pytest

from ex4d_core.video_io import probe_video, read_video
from ex4d_core.video_io.linear import srgb_codes
from ex4d_core.video_io.tone_map import HLG, PQ, WHITE, build_tone_map, compressed, hlg_scene, pq_code, pq_light
from tests.helpers.pictures import picture

BT2020_TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.07285], [-0.12455, 1.1329, -0.008349], [-0.018151, -0.100579, 1.11873]]
)


def encode(path, codes, *, transfer, primaries=9):
    """Write frames of RGB codes 0..1 [H, W, 3], lossless with 10 bits."""
    planes = np.rint(np.asarray(codes) * 1023).astype(np.uint16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *planes.shape[:2], "gbrp10le"
        stream.codec_context.color_trc, stream.codec_context.color_primaries = transfer, primaries
        stream.codec_context.time_base = Fraction(1, 25)
        for index in range(2):
            frame = av.VideoFrame.from_ndarray(planes, format="gbrp10le")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def flat(color):
    return np.broadcast_to(np.asarray(color, float), (32, 48, 3))


def shown(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_video(path).frames[0].numpy().astype(int)


def hlg_code(nits):
    """The HLG code of gray light in cd/m2, by the inverse of BT.2100's formulas."""
    scene = (nits / 1000) ** (1 / 1.2)
    codes = np.arange(100_001) / 100_000
    return float(np.interp(scene, hlg_scene(codes), codes))


@pytest.mark.parametrize("transfer", [HLG, PQ])
@pytest.mark.parametrize(("nits", "code"), [(0, 0), (26, 108), (100, 189), (203, 230), (400, 250), (1000, 255)])
def test_gray_light_has_the_code_of_bt1886_below_the_knee(tmp_path, transfer, nits, code):
    value = hlg_code(nits) if transfer == HLG else float(pq_code(nits))
    frame = shown(encode(tmp_path / "a.mkv", flat([value] * 3), transfer=transfer))
    assert frame[16, 24].tolist() == pytest.approx([code] * 3, abs=2)


def test_an_sdr_picture_in_hdr_is_restored(tmp_path):
    sdr = picture(32, 48)
    light = (sdr / 255) ** 2.4 @ np.linalg.inv(BT2020_TO_BT709).T
    frame = shown(encode(tmp_path / "a.mkv", pq_code(np.maximum(light, 0) * WHITE), transfer=PQ))
    dark = sdr.max(axis=-1) < 180  # brighter light is compressed
    assert np.abs(frame - sdr)[dark].mean() < 2


def test_bright_red_stays_red(tmp_path):
    red = np.array([1000.0, 0, 0]) @ np.linalg.inv(BT2020_TO_BT709).T
    frame = shown(encode(tmp_path / "a.mkv", pq_code(flat(np.maximum(red, 0))), transfer=PQ))
    assert frame[16, 24, 0] > 240
    assert frame[16, 24, 1:].max() < 60


def test_wide_gamut_is_converted_to_bt709(tmp_path):
    codes = (np.array([0.2, 0.4, 0.3]) @ np.linalg.inv(BT2020_TO_BT709).T) ** (1 / 2.4)
    frame = shown(encode(tmp_path / "a.mkv", flat(codes), transfer=14))
    assert frame[16, 24].tolist() == pytest.approx((np.array([0.2, 0.4, 0.3]) ** (1 / 2.4) * 255).tolist(), abs=2)


def test_hdr_is_reported_once_and_sdr_is_not(tmp_path):
    hdr, sdr = (encode(tmp_path / f"{name}.mkv", flat([0.5] * 3), transfer=trc, primaries=primaries)
                for name, trc, primaries in (("hdr", HLG, 9), ("sdr", 1, 1)))  # fmt: skip
    said = []
    read_video(hdr, warn=said.append)
    assert said == [f"{hdr} is HDR (HLG) and was converted to SDR"]
    assert (read_video(sdr, warn=pytest.fail).frames == 128).all()
    assert probe_video(hdr).num_frames == 2


def test_the_curve_is_monotonic_and_ends_at_white():
    light = np.linspace(0, 4000, 5001)
    out = compressed(light, 4000)
    assert (np.diff(out) > -1e-9).all()
    assert out[-1] == pytest.approx(WHITE, rel=1e-6)
    assert np.allclose(out[light < 20], light[light < 20], rtol=1e-6)
    assert np.allclose(pq_light(pq_code(light[1:])), light[1:])


def test_no_code_is_out_of_the_tables():
    codes = np.random.default_rng(0).integers(0, 2**16, (64, 64, 3), np.uint16)
    codes[0], codes[1] = 0, 65535
    for tone_map in (build_tone_map(HLG), build_tone_map(PQ), build_tone_map(PQ, peak=1e9), build_tone_map(None)):
        out = tone_map.apply(codes)
        assert (out[0] == 0).all()
        assert (out[1] == 255).all()


def test_linear_light_is_clipped():
    light = np.array([np.nan, -1, 0, 0.2140, 1, 2, np.inf, -np.inf], np.float32)
    assert srgb_codes(light).tolist() == [0, 0, 0, 127, 255, 255, 255, 0]


def test_tags_that_only_the_container_states_are_used(tmp_path):
    """The frames of ProRes here state no transfer."""
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("prores_ks", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv422p10le"
        stream.codec_context.color_trc, stream.codec_context.color_primaries = PQ, 9
        stream.codec_context.colorspace = 9
        frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 90, np.uint8), format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuv422p10le")))
        container.mux(stream.encode(None))
    said = []
    read_video(tmp_path / "a.mov", warn=said.append)
    assert said == [f"{tmp_path / 'a.mov'} is HDR (PQ) and was converted to SDR"]
