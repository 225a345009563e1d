"""Where a context falls in a rollout (evaluation spec, "Bucketing").

A bucket is the SHA-1 of a text, its first 15 hex digits as a number between 0 and 1, and an arm is
chosen by comparing that with running sums of weights, in doubles. Here the sums are turned, once,
into limits of 8 bytes, so that choosing is one comparison of bytes: `limit_of` finds the limit by
bisecting with the very rule in doubles, and a digest is below the limit exactly if its bucket is
below the sum.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Final

try:  # on short input the interpreter's own SHA-1 is quicker than OpenSSL's
    from _sha1 import sha1
except ImportError:  # not in every build
    from hashlib import sha1 as _openssl_sha1

    def sha1(data: bytes) -> Any:
        """Return the SHA-1 of `data`, which serves as a hash here, not for security."""
        return _openssl_sha1(data, usedforsecurity=False)


_SCALE: Final = float(0xFFFFFFFFFFFFFFF)
_EVERY_DIGEST: Final = b"\xff" * 21

digest_of: Callable[[bytes], Any] = sha1


def bucket(key: str, salt: str, value: str, *, seed: int | None = None) -> float:
    """Return the place of `value` in [0, 1] for the rollout of flag or segment `key`.

    SHA-1 over "key.salt.value", or "seed.value" if the rollout has a seed; the first 15 hex digits
    over 0xFFFFFFFFFFFFFFF. Every SDK must choose the same variation for the same context.
    Source: evaluation spec, "Bucketing"; vectors in tests/evaluation/bucketing_vectors.json.
    """
    digest = sha1(encoded(prefix_of(key, salt, seed=seed) + value)).digest()
    return (int.from_bytes(digest[:8], "big") >> 4) / _SCALE


def prefix_of(key: str, salt: str, *, seed: int | None) -> str:
    """Return what stands before the value in the text that is hashed."""
    return f"{key}.{salt}." if seed is None else f"{seed}."


def encoded(text: str) -> bytes:
    """Return UTF-8; lone surrogates, which have none, as the three bytes they would take."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def share_of(weight: int) -> float:
    """Return the part of everybody that `weight` stands for; beyond a double it is infinite."""
    try:
        return weight / 100000.0
    except OverflowError:
        return math.inf if weight > 0 else -math.inf


def limit_of(total: float) -> bytes:
    """Return the limit such that a SHA-1 digest is below it exactly if its bucket is < `total`."""
    first_outside = bisect_left(range(1 << 60), total, key=lambda number: number / _SCALE)
    if first_outside >= 1 << 60:
        return _EVERY_DIGEST
    return (first_outside << 4).to_bytes(8, "big") if first_outside else b""


def bucketable(value: Any) -> str | None:
    """Return the text of an attribute that a rollout can go by: a string or a whole number."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return number_text(value)
    if isinstance(value, float) and value.is_integer():
        return number_text(int(value))
    return None


def number_text(number: int) -> str | None:
    """Return a whole number in decimal; None for one beyond the digits Python will print."""
    try:
        return str(number)
    except ValueError:
        return None
