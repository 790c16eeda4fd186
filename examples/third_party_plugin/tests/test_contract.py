"""The component keeps the contract of its role."""

from ex4d_depth_stereo.contract import StereoContract


class TestStereo(StereoContract):
    """What `ex4d plugins check stereo` tests too; tests of your own go beside this class."""
