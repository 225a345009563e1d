"""The contract service: it drives a client as the SDK contract harness says; either colour."""
