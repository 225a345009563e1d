"""The second data system: not part of this release."""

from typing import TYPE_CHECKING

from flagkeep.ldclient._later import later

if not TYPE_CHECKING:  # so that checkers know these names are missing
    __getattr__ = later(
        __name__,
        "ConfigBuilder custom daemon default fdv1_fallback_ds_builder file_ds_builder"
        " persistent_store polling polling_ds_builder streaming streaming_ds_builder",
    )
