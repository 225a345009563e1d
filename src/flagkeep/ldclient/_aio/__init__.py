"""The parts of `AsyncLDClient`. All of it needs asyncio: it is imported when one is made."""
