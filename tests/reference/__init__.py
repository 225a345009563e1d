"""A slow, obvious evaluator over plain JSON, to hold the compiled one against; imports no flagkeep.

It follows the evaluation spec section by section and chooses clarity wherever speed would cost it:
nothing is prepared, cached or indexed, every number that matters is an exact one.
"""

from tests.reference.evaluator import Outcome, World, evaluate

__all__ = ["Outcome", "World", "evaluate"]
