"""Contract of moves that start at the source camera."""

from ex4d_core.testing.contracts import TrajectoryContract


class FromSourceContract(TrajectoryContract):
    """The contract of trajectory generators, and the first pose is that of the source camera."""

    starts_at_source = True
