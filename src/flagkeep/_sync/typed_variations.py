"""The values of flags by type: what another type has counts as WRONG_TYPE (Python API spec, 15)."""

from abc import ABC, abstractmethod
from typing import Any, TypeVar

from flagkeep.model.context import Context
from flagkeep.model.detail import Detail
from flagkeep.model.json_types import (
    TypeReader,
    read_bool,
    read_float,
    read_int,
    read_json,
    read_str,
)

T = TypeVar("T")


class TypedVariations(ABC):
    """The typed methods of a client, which make their answers of one."""

    @abstractmethod
    def _evaluate(
        self, key: str, context: Context, default: T, method: str, read: TypeReader | None
    ) -> Detail[T]:
        """Return the outcome of one flag.

        Args:
            method: as which hooks know the evaluation.
            read: says whether a value is of the right type, and converts it.
        """

    def bool_variation(self, key: str, context: Context, default: bool) -> bool:  # noqa: FBT001
        """Return the value of a boolean flag; of any other type it counts as WRONG_TYPE."""
        return (self._evaluate(key, context, default, "bool_variation", read_bool)).value

    def bool_variation_detail(
        self,
        key: str,
        context: Context,
        default: bool,  # noqa: FBT001
    ) -> Detail[bool]:
        """Return the value of a boolean flag with its index, reason and age."""
        return self._evaluate(key, context, default, "bool_variation_detail", read_bool)

    def int_variation(self, key: str, context: Context, default: int) -> int:
        """Return the value of a number flag, its fraction cut off."""
        return (self._evaluate(key, context, default, "int_variation", read_int)).value

    def int_variation_detail(self, key: str, context: Context, default: int) -> Detail[int]:
        """Return the value of a number flag, its fraction cut off, with index, reason and age."""
        return self._evaluate(key, context, default, "int_variation_detail", read_int)

    def float_variation(self, key: str, context: Context, default: float) -> float:
        """Return the value of a number flag."""
        return (self._evaluate(key, context, default, "float_variation", read_float)).value

    def float_variation_detail(
        self, key: str, context: Context, default: float
    ) -> Detail[float]:
        """Return the value of a number flag with its index, reason and age."""
        return self._evaluate(key, context, default, "float_variation_detail", read_float)

    def str_variation(self, key: str, context: Context, default: str) -> str:
        """Return the value of a string flag."""
        return (self._evaluate(key, context, default, "str_variation", read_str)).value

    def str_variation_detail(self, key: str, context: Context, default: str) -> Detail[str]:
        """Return the value of a string flag with its index, reason and age."""
        return self._evaluate(key, context, default, "str_variation_detail", read_str)

    def json_variation(self, key: str, context: Context, default: Any) -> Any:
        """Return the value of a flag of any type; lists and objects are the caller's own."""
        return (self._evaluate(key, context, default, "json_variation", read_json)).value

    def json_variation_detail(
        self,
        key: str,
        context: Context,
        default: Any,
    ) -> Detail[Any]:
        """Return the value of a flag of any type with its index, reason and age."""
        return self._evaluate(key, context, default, "json_variation_detail", read_json)
