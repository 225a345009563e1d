"""Analytics events: what happened, put into words for the upstream.

Knows no client, clock or connection.
"""
