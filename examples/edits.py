"""What happens to the file of flags in the story."""

from pathlib import Path
from typing import Any

from children import wait_until

Document = dict[str, Any]


def edit_price(document: Document) -> None:
    document["flags"]["free-shipping-from"]["variations"][0] = 39.0


def edit_theme(document: Document) -> None:
    document["flags"]["theme"]["fallthrough"] = {"variation": 1}


def edit_light(document: Document) -> None:
    document["flags"]["theme"]["fallthrough"] = {"variation": 0}


def edit_closed(document: Document) -> None:
    document["flags"]["shop-open"]["on"] = False


def edit_open(document: Document) -> None:
    document["flags"]["shop-open"]["on"] = True


def edit_cart(document: Document) -> None:
    document["flags"]["max-cart-items"]["variations"][0] = 50


def save(file: Path, text: str) -> None:
    """Put a new file in the place of the old one, as careful editors do."""
    new = file.with_name(file.name + ".new")
    new.write_text(text, encoding="utf-8")
    wait_until(lambda: is_replaced(new, file), f"permission to replace {file}")


def is_replaced(new: Path, file: Path) -> bool:
    """Whether it could be done now: on Windows not while another process reads the old file."""
    try:
        new.replace(file)
    except PermissionError:
        return False
    return True
