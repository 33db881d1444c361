"""Triggers that tell at once, or never."""

import asyncio
from types import SimpleNamespace


class Soon:
    def __init__(self, said):
        self.said = said

    async def run(self):
        yield SimpleNamespace(payload=self.said)


class Never:
    async def run(self):
        await asyncio.Event().wait()
        yield
