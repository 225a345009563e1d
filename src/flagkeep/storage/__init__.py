"""What a store holds; hides from the rest how items, tombstones and rows look."""
