"""A plugin's mistake in what it says of a component is refused when it says it."""

import attrs
import pytest

from ex4d_core.provider import Download, Provider, Seconds


@attrs.frozen
class Options:
    far: float = 100.0


def provider(**fields) -> Provider:
    said = {"name": "mine", "summary": "for tests", "license": "MIT", "component": "nowhere:Class", "options": Options}
    return Provider(**said | fields)


@pytest.mark.parametrize("auto", [True, 1.5, "first"])
def test_a_priority_is_a_whole_number(auto):
    with pytest.raises(ValueError, match="auto must be a whole number or None"):
        provider(auto=auto)


def test_a_preset_sets_options_that_there_are():
    assert provider(presets={"ex4d": {"far": 1e4}}).presets["ex4d"] == {"far": 1e4}
    with pytest.raises(ValueError, match="presets: 'ex4d' sets 'fra', which is not one of its options"):
        provider(presets={"ex4d": {"fra": 1e4}})


def test_providers_with_presets_can_be_told_apart_in_sets():
    assert len({provider(), provider(presets={"ex4d": {"far": 1e4}})}) == 2


def test_an_alias_is_a_word_and_sets_options_that_there_are():
    assert provider(aliases={"far_away": {"far": 1e4}}).aliases["far_away"] == {"far": 1e4}
    with pytest.raises(ValueError, match="aliases: 'Far away' must be lower-case letters"):
        provider(aliases={"Far away": {}})
    with pytest.raises(ValueError, match="aliases: 'away' sets 'fra', which is not one of its options"):
        provider(aliases={"away": {"fra": 1.0}})


def test_plain_angles_set_options_that_there_are():
    assert provider(angle_options=("far",), aliases={"180": {}}).angle_options == ("far",)
    with pytest.raises(ValueError, match="angle_options: 'angle' is not one of its options"):
        provider(angle_options=("angle",))


@pytest.mark.parametrize(("size", "shown"), [(99_200_000, "99 MB"), (3, "1 MB"), (1_450_000_000, "1.4 GB")])
def test_a_download_states_title_license_and_size(size, shown):
    assert str(Download(title="Small Net", license="MIT", size=size)) == f"Small Net, MIT, {shown}"


def test_a_time_is_declared_by_kind_of_device_and_options_may_replace_it():
    @attrs.frozen
    class Steps:
        steps: int = 4

        def typical_seconds(self, device_type):
            return Seconds(per_frame=self.steps) if device_type == "cuda" else None

    plain = provider(typical_seconds={"cpu": Seconds(per_frame=0.5, per_megapixel=2)})
    assert plain.seconds_for(Options(), "cpu").of(10, 250_000) == 10
    assert plain.seconds_for(Options(), "cuda") is None
    assert provider(options=Steps).seconds_for(Steps(), "cuda").of(2, 1) == 8
    with pytest.raises(ValueError, match="typical_seconds must have Seconds by kind of device, not 'gpu'"):
        provider(typical_seconds={"gpu": Seconds()})


def test_a_download_is_of_declared_weights():
    download = Download(title="Small Net", license="MIT", size=10)
    assert provider(weights="nowhere:weights", offer_download=download).offer_download == download
    with pytest.raises(ValueError, match="offer_download describes weights, and the field weights does not list any"):
        provider(offer_download=download)
