"""Where an SDK says something else than we do, flag by flag, and why.

Each entry has the number of contexts, of 200, for which it is so. One that is not true any more
fails the tests just as a difference that is not listed.
"""

from typing import Final

Explained = dict[str, tuple[int, str]]

SEGMENT_WEIGHT: Final = (
    "who lacks the kind of a weighted segment rule is not in it, as in Go; here such a context is"
    " in bucket 0 and so in the segment"
)
ZERO_WEIGHT: Final = (
    "who lacks the kind of a rollout is in bucket 0, and the first variation with a weight above 0"
    " is theirs, as in Go; here it is the first"
)
OBJECTS: Final = "objects of equal content are equal, as in Python; here none is"
PREREQUISITE: Final = (
    "a prerequisite whose variation does not exist fails, as in Python and Java; here it makes the"
    " flag that needs it malformed"
)
REFERENCE: Final = (
    "an invalid attribute is malformed whoever is asked, as in Node and Java; here only for a"
    " context that has the kind"
)
BIG_SEGMENT: Final = (
    "a Big Segment that was never made is reported whoever is asked, as the contract harness wants"
    " it; here only for a context that has the kind"
)
SEGMENT_KIND: Final = (
    "weighted segment rules go by `rolloutContextKind`; here by `contextKind`, which nobody"
    " writes, and so always by the user"
)
NULLS: Final = "null inside an object is kept; here such a property was left out"

# By reader: it reads what anybody wrote.
READERS: Final[dict[str, Explained]] = {
    "python": {
        "rule-in-segment-by-weight-of-org": (75, SEGMENT_WEIGHT),
        "rollout-of-org-from-zero": (100, ZERO_WEIGHT),
        "rollout-by-whole-float": (50, "33333.0 is in the bucket of 33333, as in Go; here in 0"),
        "rule-bad-reference": (50, REFERENCE),
    },
    "go": {
        "rule-in-object": (30, OBJECTS),
    },
    "node": {
        "rule-in-object": (30, OBJECTS),
        "rule-in-segment-by-weight-of-org": (75, SEGMENT_WEIGHT),
        "needs-malformed": (200, PREREQUISITE),
        "needs-longer-chain": (11, PREREQUISITE),
        "rule-in-big-segment-never-made": (50, BIG_SEGMENT),
    },
    "node-legacy": {
        "rule-in-object": (30, OBJECTS),
        "rule-in-segment-by-weight-of-org": (95, SEGMENT_KIND),
    },
    "java": {
        "rule-in-object": (30, OBJECTS),
        "rule-in-segment-by-weight-of-org": (75, SEGMENT_WEIGHT),
        "rollout-of-org-from-zero": (100, ZERO_WEIGHT),
    },
    "java-5": {
        "rule-in-object": (42, OBJECTS),
        "rule-in-nested-segment": (42, "a segment may refer to others; here it never matches"),
        "experiment-by": (79, "experiments go by the key; here by `bucketBy`"),
    },
}

# By writer: we read what it made of the data.
WRITERS: Final[dict[str, Explained]] = {
    "python": {},
    "go": {},
    "node": {},
    "node-legacy": {},
    "java": {"objects": (108, NULLS)},
    "java-5": {"objects": (72, NULLS)},
}
