"""Running migrations: not part of this release."""

from typing import TYPE_CHECKING

from flagkeep.ldclient._later import later

if not TYPE_CHECKING:  # so that checkers know these names are missing
    __getattr__ = later(
        __name__,
        "MigrationConfig Migrator MigratorBuilder MigratorCompareFn MigratorFn"
        " MigratorImpl OpTracker",
    )
