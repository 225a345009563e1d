"""Where waiting happens: clocks, threads, event loops, drivers; hides all that from the shells."""
