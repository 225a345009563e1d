"""Real servers for the tests: on loopback and a free port, ended with the tests that need them."""
