"""Clients that are made before a fork: real servers, and every way a process comes to be."""
