"""How fast flagkeep is, measured beside the official SDK; knows both faces, and no test uses it."""
