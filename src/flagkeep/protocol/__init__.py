"""Bytes in, decisions out: knows formats and protocols; hides them from whoever moves the bytes."""
