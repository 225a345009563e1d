"""What is timed, and the budget of each case.

A budget is a time on the machine where it was set, on which the official SDK takes 9 µs for case A.
The runner measures that case too and scales every budget by what it finds, so that a slower machine
is not a failure and a faster one no excuse.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks import flags

REFERENCE_US: Final = 9.0
"""What the official SDK takes for case A where the budgets were set."""

FACE_BUDGET_US: Final = 0.1
"""How much longer an evaluation through `flagkeep.ldclient` may take than one through `Client`."""

# The context of a prebuilt case is this name; the one built anew is the expression that builds it.
PREBUILT: Final = "context"


def building(key: str, attributes: Mapping[str, object]) -> str:
    """Return the expression that a program would write to build this context."""
    if not attributes:
        return f"create({key!r})"
    steps = "".join(f".set({name!r}, {value!r})" for name, value in attributes.items())
    return f"builder({key!r}){steps}.build()"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to time.

    Attributes:
        name: how the table calls it.
        data: which set of flags it needs, a name of `DATA`.
        ask: "variation", "all_flags", "all_flags_json", or "" for the building of a context alone.
        flag: the flag that is asked for, if it is one.
        context: the expression that builds the context.
        anew: whether the context is built within what is timed.
        budget_us: what `flagkeep.Client` may take; None if nothing was promised.
    """

    name: str
    data: str
    ask: str
    flag: str
    context: str
    anew: bool = False
    budget_us: float | None = None


USER: Final = building(flags.key_of(999), flags.attributes(999))
EARLY_USER: Final = building(flags.key_of(999), flags.early_attributes(999))
TARGETED: Final = building(flags.key_of(999), {})
STRANGER: Final = building("somebody-else", {})

DATA: Final[Mapping[str, Callable[[], dict[str, flags.JsonObject]]]] = {
    "abc": flags.case_flags,
    "all": flags.all_flags,
}

CASES: Final = (
    Case("A boolean flag", "abc", "variation", "a", TARGETED, budget_us=0.4),
    Case("B 3x2 clauses, rollout", "abc", "variation", "b", USER, budget_us=1.8),
    Case("B, first clauses fail", "abc", "variation", "b", EARLY_USER, budget_us=1.8),
    Case("C the last of 1,000 targets", "abc", "variation", "c", TARGETED, budget_us=0.45),
    Case("C, none of 1,000 targets", "abc", "variation", "c", STRANGER, budget_us=0.45),
    Case("all flags of 1,000 x B", "all", "all_flags", "", USER, budget_us=2_500),
    Case("… first clauses fail", "all", "all_flags", "", EARLY_USER, budget_us=2_500),
    Case("… as a dictionary for JSON", "all", "all_flags_json", "", EARLY_USER, budget_us=2_500),
    Case("A, context anew", "abc", "variation", "a", TARGETED, anew=True),
    Case("B, context anew", "abc", "variation", "b", USER, anew=True),
    Case("C, context anew", "abc", "variation", "c", TARGETED, anew=True),
    Case("all flags, context anew", "all", "all_flags", "", USER, anew=True),
    Case("(a context with a key)", "abc", "", "", TARGETED, anew=True),
    Case("(a context of 7 attributes)", "abc", "", "", USER, anew=True),
)
