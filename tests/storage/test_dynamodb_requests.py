from typing import Any

from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage.dynamodb_layout import Names, row_of
from flagkeep.storage.dynamodb_requests import Requests, as_seen, delete_in_batch, put_in_batch

NAMES = Names("p")
A = ItemRef(Kind.FLAG, "a")
REQUESTS = Requests("flags")
NEW = row_of(NAMES.item(A), SerializedItem(7, deleted=False, data=b'{"version":7}'))


def row(**attributes: Any) -> dict[str, Any]:
    return {"namespace": {"S": "p:features"}, "key": {"S": "a"}, **attributes}


def test_every_read_is_strongly_consistent() -> None:
    key = NAMES.item(A).as_key()
    assert REQUESTS.get(NAMES.item(A)) == {"TableName": "flags", "Key": key, "ConsistentRead": True}
    assert REQUESTS.get_many([key]) == {
        "RequestItems": {"flags": {"Keys": [key], "ConsistentRead": True}}
    }
    for ask in (REQUESTS.query, REQUESTS.query_known, REQUESTS.query_one):
        assert ask("n", None)["ConsistentRead"] is True


def test_a_page_begins_where_the_last_one_ended() -> None:
    key = NAMES.item(A).as_key()
    for ask in (REQUESTS.query, REQUESTS.query_known, REQUESTS.query_one):
        assert "ExclusiveStartKey" not in ask("n", None)
        assert ask("n", key)["ExclusiveStartKey"] == key
        assert ask("n", key)["ExpressionAttributeValues"][":namespace"] == {"S": "n"}


def test_what_is_known_of_rows_is_read_without_their_texts() -> None:
    asked = REQUESTS.query_known("n", None)
    names = {
        asked["ExpressionAttributeNames"][sign]
        for sign in asked["ProjectionExpression"].split(", ")
    }
    assert names == {"key", "version", "digest", "partsVersion", "parts"}


def test_a_condition_names_what_was_seen() -> None:
    seen = row(version={"N": "3"}, item={"S": "{}"})
    condition, names, values = as_seen(seen)
    assert condition == "attribute_exists(#k) AND #v = :v AND attribute_not_exists(#w)"
    assert names == {"#k": "key", "#v": "version", "#w": "partsVersion"}
    assert values == {":v": {"N": "3"}}
    assert as_seen(None) == ("attribute_not_exists(#k)", {"#k": "key"}, {})


def test_a_row_is_put_over_what_was_seen_or_over_nothing() -> None:
    over_nothing = REQUESTS.put_over(NEW, None)
    assert "ExpressionAttributeValues" not in over_nothing  # the service refuses an empty one
    over = REQUESTS.put_over(NEW, row(partsVersion={"N": "5"}))
    assert over["ExpressionAttributeValues"] == {":w": {"N": "5"}}
    assert over["Item"] == over_nothing["Item"] == NEW


def test_a_newer_item_is_put_on_a_condition_and_says_what_was_there() -> None:
    asked = REQUESTS.put_if_newer(NEW)
    assert asked["ExpressionAttributeValues"][":v"] == {"N": "7"}
    assert asked["ReturnValues"] == asked["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD"


def test_batches_put_and_delete() -> None:
    batch = [put_in_batch(NEW), delete_in_batch(NAMES.item(A))]
    assert REQUESTS.write(batch) == {
        "RequestItems": {
            "flags": [
                {"PutRequest": {"Item": NEW}},
                {"DeleteRequest": {"Key": {"namespace": {"S": "p:features"}, "key": {"S": "a"}}}},
            ]
        }
    }
    assert REQUESTS.delete(NAMES.item(A))["Key"] == NAMES.item(A).as_key()
    assert REQUESTS.delete_older(NAMES.item(A), 4)["ExpressionAttributeValues"][":v"] == {"N": "4"}
