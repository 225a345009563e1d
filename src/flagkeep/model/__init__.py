"""What travels on the wire and lies in the stores; hides the formats, knows no behaviour."""
