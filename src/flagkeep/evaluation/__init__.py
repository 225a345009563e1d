"""What a flag's value is for a context: pure and synchronous; knows no client, store or clock.

The door is narrow, so that another core may take the place of this one: `compile_flag` and
`compile_segment` make ready objects of model objects, `evaluate` takes one, a context and the
`Inputs` it may need, and returns a `Result`, or raises `InputMissing` naming what else it needs.
"""

from flagkeep.evaluation.compiler import compile_flag, compile_segment
from flagkeep.evaluation.evaluator import CompiledFlag, evaluate
from flagkeep.evaluation.inputs import InputMissing, Inputs, Membership
from flagkeep.evaluation.result import PrerequisiteResult, Result
from flagkeep.evaluation.segments import CompiledSegment

__all__ = [
    "CompiledFlag",
    "CompiledSegment",
    "InputMissing",
    "Inputs",
    "Membership",
    "PrerequisiteResult",
    "Result",
    "compile_flag",
    "compile_segment",
    "evaluate",
]
