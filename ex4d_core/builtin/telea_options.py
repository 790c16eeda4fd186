"""Options of the `telea` backbone."""

import attrs


@attrs.frozen
class TeleaOptions:
    """The `telea` backbone has no options."""
