"""Server or client on Python's asyncio, as its documentation writes them: hold.py server PORT | hold.py client PORT COUNT."""
import asyncio
import sys


class Held(asyncio.Protocol):
    """A connection that is kept and carries nothing."""


async def server(port: int) -> None:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(Held, "127.0.0.1", port, backlog=4096)
    await listener.serve_forever()


async def client(port: int, count: int) -> None:
    loop = asyncio.get_running_loop()
    held = []
    while len(held) < count:
        window = min(256, count - len(held))
        held += await asyncio.gather(*(loop.create_connection(Held, "127.0.0.1", port) for _ in range(window)))
    await asyncio.sleep(3600)


port = int(sys.argv[2])
asyncio.run(server(port) if sys.argv[1] == "server" else client(port, int(sys.argv[3])))
