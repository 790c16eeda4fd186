"""What moves claim beyond what their role asks."""

from ex4d_core.testing.contracts import TrajectoryContract


class FromSourceContract(TrajectoryContract):
    """The first pose is the source camera's."""

    starts_at_source = True
