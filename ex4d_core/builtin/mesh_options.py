"""Options of the mesh builders; nothing heavy is imported here."""

from ex4d_core.geometry.watertight_options import WatertightOptions

__all__ = ["WatertightOptions"]
