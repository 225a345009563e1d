"""One client of the service, and how to call it."""

from typing import Any

from tests.contract.colours import Colour
from tests.contract.messages import Configuration
from tests.contract.settings import Plan, plan


class NotReady(Exception):
    """There was no flag data in time."""


class Target:
    """A client that the harness has asked for.

    Raises:
        NotReady: it has no flag data in time, and nobody said that this may be.
        ConfigError: its settings cannot work.
    """

    def __init__(self, configuration: Configuration, colour: Colour) -> None:
        self.colour = colour
        self.outside = colour.new_outside()
        how: Plan = colour.settle(lambda: plan(configuration, colour, self.outside))
        self.client: Any = colour.settle(lambda: colour.client_type(how.config, **how.arguments))
        if how.start_wait == 0:
            return
        if not self.call("wait_until_ready", how.start_wait) and not how.may_fail:
            self.close()
            raise NotReady(f"no flag data within {how.start_wait:g} s")

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method of the client, and wait for what it returns."""
        return self.colour.settle(lambda: getattr(self.client, method)(*arguments, **named))

    def close(self) -> None:
        """Close the client."""
        self.call(self.colour.close_name)
        self.outside.close()
