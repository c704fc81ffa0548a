# Replaces the package of this name, which Debian doesn't have.
import asyncio


async def ainput():
    return await asyncio.get_running_loop().run_in_executor(None, input)
