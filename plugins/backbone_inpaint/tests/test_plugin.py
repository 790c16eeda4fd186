"""What the plugin offers."""

from ex4d_core.plugins.registry import Registry


def test_the_preview_is_preferred_to_filling_each_frame_alone():
    registry = Registry()
    assert registry.find("backbone", "inpaint").source.distribution == "ex4d-backbone-inpaint"
    names = registry.auto_names("backbone")
    assert names.index("inpaint") < names.index("telea")


def test_it_is_listed_without_heavy_requirements():
    offer = Registry().find("backbone", "inpaint")
    assert offer.missing_requirements() == ()
    assert offer.spec.weights == ""
