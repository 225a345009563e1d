"""The shortest program: flags from a file, kept in memory. `python examples/quickstart.py`."""

from pathlib import Path

from flagkeep import Client, Config, Context, FileSource

FLAGS = Path(__file__).parent / "shop" / "flags.json"

with Client(Config(source=FileSource(FLAGS))) as client:
    client.wait_until_ready()
    bruno = Context.builder("bruno").set("orders", 27).set("email", "bruno@mail.example").build()
    print("New checkout:", client.bool_variation("checkout-v2", bruno, default=False))
    print("Items in a cart:", client.int_variation("max-cart-items", bruno, 10))
    print("Why:", client.variation_detail("max-cart-items", bruno, 10).reason.to_dict())
