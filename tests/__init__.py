"""Tests of flagkeep; the folders mirror the source."""
