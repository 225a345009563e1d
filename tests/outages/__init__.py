"""What can happen to a store: real faults of real stores, and what clients promise for each.

Nothing here has a colour; tests/_async/test_outages.py and its twin do the client's part.
"""
