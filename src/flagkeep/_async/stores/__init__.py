"""The stores of this package; hides drivers and layouts behind one interface."""
