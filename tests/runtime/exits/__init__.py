"""Programs that end without closing their client, in every way that a process can end."""
