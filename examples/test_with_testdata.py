"""How to test a program that uses flagkeep: `pytest examples/test_with_testdata.py`.

`TestData` takes the place of file and store: flags are made in code, and a change is in force in
every running client when `update` returns.
"""

from collections.abc import Iterator

import pytest

from flagkeep import Client, Config, Context
from flagkeep.testing import TestData


def delivery_price(client: Client, customer: Context, weight: float) -> float:
    """Stand for the code that is to be tested."""
    price = client.float_variation("price-per-kg", customer, 2.0) * weight
    return 0.0 if client.bool_variation("free-delivery", customer, default=False) else price


@pytest.fixture
def flags() -> TestData:
    return TestData()


@pytest.fixture
def client(flags: TestData) -> Iterator[Client]:
    with Client(Config(source=flags)) as client:
        assert client.wait_until_ready()
        yield client


def test_delivery_costs_by_weight(client: Client) -> None:
    assert delivery_price(client, Context.create("ann"), 1.5) == 3.0


def test_a_new_price_applies_at_once(client: Client, flags: TestData) -> None:
    flags.update(flags.flag("price-per-kg").value_for_all(4.0))
    assert delivery_price(client, Context.create("ann"), 1.5) == 6.0


def test_gold_customers_pay_nothing(client: Client, flags: TestData) -> None:
    flag = flags.flag("free-delivery").fallthrough_variation(variation=False)
    flags.update(flag.if_match("plan", "gold").then_return(variation=True))
    gold = Context.builder("ann").set("plan", "gold").build()
    assert delivery_price(client, gold, 1.5) == 0.0
    assert delivery_price(client, Context.create("bob"), 1.5) == 3.0
