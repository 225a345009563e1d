"""The shells that wait; hides from users which names wait how. Its twin is generated from it."""
