"""The command line: one module per command; hides typer and rich from the rest."""
