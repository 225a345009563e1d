"""The parts of `AsyncLDClient`. Everything here needs asyncio, so it is imported when one is made."""
