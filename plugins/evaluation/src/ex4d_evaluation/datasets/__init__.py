"""Data sets with target cameras: each module declares a `DataSet` named `DATA_SET`."""

from __future__ import annotations

from pathlib import Path

from ex4d_core.errors import InvalidConfig, InvalidInput, nearest
from ex4d_core.reading import check_folder
from ex4d_evaluation.datasets import dycheck, kubric5d, multicam, pair, synthetic, vista4d
from ex4d_evaluation.datasets._record import DataSet, View

DATA_SETS: tuple[DataSet, ...] = (
    kubric5d.DATA_SET,
    dycheck.DATA_SET,
    multicam.DATA_SET,
    vista4d.DATA_SET,
    pair.DATA_SET,
    synthetic.DATA_SET,
)

__all__ = ["DATA_SETS", "DataSet", "View", "data_set_of"]


def data_set_of(data: Path, name: str | None = None) -> DataSet:
    """Return the data set of a folder, recognized by its layout, or of a name.

    Raises:
        InputNotFound: the folder does not exist.
        InvalidInput: its layout is unknown.
        InvalidConfig: there is no data set of that name.
    """
    names = {each.name: each for each in DATA_SETS}
    name = name or (synthetic.DATA_SET.name if str(data) == synthetic.DATA_SET.name else None)
    if name is not None:
        if name not in names:
            raise InvalidConfig(f"unknown data set {name!r}{nearest(name, names, then='use ' + ', '.join(names))}")
        return names[name]
    check_folder(data, "data set")
    found = next((each for each in DATA_SETS if each.matches(data)), None)
    if found is None:
        layouts = "; ".join(f"{each.name}: {each.layout}" for each in DATA_SETS)
        raise InvalidInput(
            f"{data} has none of the known layouts ({layouts}); for clips without true views, use --protocol ranges"
        )
    return found
