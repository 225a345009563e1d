"""What is asked of a table of DynamoDB, as the arguments of boto3's client."""

from collections.abc import Sequence
from typing import Any, Final

from flagkeep.storage.dynamodb_layout import Key, Place, Row

Arguments = dict[str, Any]
Answer = dict[str, Any]

ITEMS_PER_WRITE: Final = 25  # of BatchWriteItem
KEYS_PER_READ: Final = 100  # of BatchGetItem
# A page ends at 1 MB, whatever is asked for. DynamoDB Local reads all the rest for every page
# that has no limit, so that ten pages take four times as long.
_ROWS_PER_PAGE: Final = 700

# What expressions call the attributes: `key` and `namespace` are reserved words.
_ATTRIBUTES: Final = {
    "#d": "digest",
    "#k": "key",
    "#n": "namespace",
    "#p": "parts",
    "#v": "version",
    "#w": "partsVersion",
}
# A version that is missing, or is no number, protects nothing; versions of different types are
# never less than one another.
_IS_NEWER: Final = (
    "(NOT attribute_type(#v, :n) OR #v < :v) AND (NOT attribute_type(#w, :n) OR #w < :v)"
)


class Requests:
    """What is asked of a table, as the arguments of boto3's client.

    Args:
        table: its name or ARN.
    """

    __slots__ = ("table",)

    def __init__(self, table: str) -> None:
        self.table = table

    def get(self, place: Place) -> Arguments:
        """Read one row."""
        return {"TableName": self.table, "Key": place.as_key(), "ConsistentRead": True}

    def get_many(self, keys: Sequence[Key]) -> Arguments:
        """Read several rows, none twice, as many as one request may name."""
        return {"RequestItems": {self.table: {"Keys": keys, "ConsistentRead": True}}}

    def query(self, namespace: str, start: Key | None = None) -> Arguments:
        """Read a page of a namespace.

        Args:
            namespace: of the rows.
            start: the last key of the page before.
        """
        arguments: Arguments = {
            "TableName": self.table,
            "ConsistentRead": True,
            "Limit": _ROWS_PER_PAGE,
            "KeyConditionExpression": "#n = :namespace",
            "ExpressionAttributeNames": _named("#n"),
            "ExpressionAttributeValues": {":namespace": {"S": namespace}},
        }
        if start is not None:
            arguments["ExclusiveStartKey"] = start
        return arguments

    def query_known(
        self, namespace: str, start: Key | None = None, *, backwards: bool = False
    ) -> Arguments:
        """Read a page without the texts.

        Args:
            namespace: of the rows.
            start: the last key of the page before.
            backwards: begins with the last row.
        """
        return {
            **self.query(namespace, start),
            **({"ScanIndexForward": False} if backwards else {}),
            "ProjectionExpression": "#k, #v, #d, #w, #p",
            "ExpressionAttributeNames": _named("#n", "#k", "#v", "#d", "#w", "#p"),
        }

    def query_one(self, namespace: str, start: Key | None = None) -> Arguments:
        """Ask whether there is a row whose key is that of its namespace.

        It is refused unless the table has the keys that it must have, both, and each in its place;
        the read of a single row is not.
        """
        query = self.query(namespace, start)
        return {
            **query,
            "ProjectionExpression": "#k",
            "KeyConditionExpression": "#n = :namespace AND begins_with(#k, :namespace)",
            "ExpressionAttributeNames": _named("#n", "#k"),
        }

    def write(self, batch: Sequence[Arguments]) -> Arguments:
        """Put and delete rows, as many as one request may hold."""
        return {"RequestItems": {self.table: batch}}

    def put(self, row: Row) -> Arguments:
        """Put a row, whatever is there."""
        return {"TableName": self.table, "Item": row}

    def delete(self, place: Place) -> Arguments:
        """Delete a row."""
        return {"TableName": self.table, "Key": place.as_key()}

    def put_if_newer(self, row: Row) -> Arguments:
        """Put an item unless what is there is as new; the answer is what was there."""
        return {
            **self.put(row),
            "ConditionExpression": _IS_NEWER,
            "ExpressionAttributeNames": _named("#v", "#w"),
            "ExpressionAttributeValues": {":n": {"S": "N"}, ":v": row["version"]},
            "ReturnValues": "ALL_OLD",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def put_over(self, row: Row, seen: Row | None) -> Arguments:
        """Put a row if the one that was seen is still there; None: if there is none."""
        condition, names, values = as_seen(seen)
        return {
            **self.put(row),
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            **({"ExpressionAttributeValues": values} if values else {}),
            "ReturnValues": "ALL_OLD",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def delete_older(self, place: Place, version: int) -> Arguments:
        """Delete a part if it is older than a version, or has none."""
        return {
            **self.delete(place),
            "ConditionExpression": "NOT attribute_type(#v, :n) OR #v < :v",
            "ExpressionAttributeNames": _named("#v"),
            "ExpressionAttributeValues": {":n": {"S": "N"}, ":v": {"N": str(version)}},
        }


def as_seen(seen: Row | None) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return the condition that a row is what was seen, with its names and values."""
    if seen is None:
        return "attribute_not_exists(#k)", _named("#k"), {}
    conditions, values = ["attribute_exists(#k)"], {}
    for sign in ("#v", "#w"):
        found = seen.get(_ATTRIBUTES[sign])
        if found is None:
            conditions.append(f"attribute_not_exists({sign})")
        else:
            values[f":{sign[1:]}"] = found
            conditions.append(f"{sign} = :{sign[1:]}")
    return " AND ".join(conditions), _named("#k", "#v", "#w"), values


def _named(*signs: str) -> dict[str, str]:
    return {sign: _ATTRIBUTES[sign] for sign in signs}


def put_in_batch(row: Row) -> Arguments:
    """Put a row, as one of a batch."""
    return {"PutRequest": {"Item": row}}


def delete_in_batch(place: Place) -> Arguments:
    """Delete a row, as one of a batch."""
    return {"DeleteRequest": {"Key": place.as_key()}}
