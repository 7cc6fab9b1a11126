"""Browser sessions without browsers: they speak Streamlit's protocol, redraw what is live, and follow links.

python tests/bench/sessions.py PORT SESSIONS SECONDS ADDRESS … prints the seconds that each click took, as JSON. A
browser's own work would be done on the visitor's computer; here it would take the server's cores.
"""

import asyncio
import json
import random
import sys
import time
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

PAUSE_S = (2.0, 6.0)
"""Between two clicks of one visitor."""
WARM_UP_S = 15.0
"""Before the first clicks: a server is started once, and imports what a page needs when it is first asked for it."""


class Session:
    """One visitor's connection; a click is a link to another page, its answer the end of that page's script."""

    def __init__(self, connection: ClientConnection, address: str):
        self.connection = connection
        split = urlsplit(address)
        self.name, self.query = split.path, split.query
        self.pages: dict[str, str] = {}
        self.page_hash = ""
        self.live: dict[str, asyncio.Task[None]] = {}
        self.answered = asyncio.Event()
        self.listening = asyncio.create_task(self.listen())

    async def ask(self, fragment: str = "") -> None:
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string, asked.page_script_hash, asked.fragment_id = self.query, self.page_hash, fragment
        asked.is_auto_rerun = bool(fragment)
        if not self.page_hash:
            asked.page_name = self.name
        await self.connection.send(message.SerializeToString())

    async def listen(self) -> None:
        async for data in self.connection:
            message = ForwardMsg.FromString(data)
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.page_hash = message.new_session.page_script_hash
            elif kind == "navigation":
                self.pages = {
                    page.url_pathname: page.page_script_hash for page in message.navigation.app_pages
                }
            elif kind == "auto_rerun":
                fragment = message.auto_rerun.fragment_id
                if before := self.live.get(fragment):
                    before.cancel()
                self.live[fragment] = asyncio.create_task(self._redraw(fragment, message.auto_rerun.interval))
            elif kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
                raise RuntimeError(f"{self.name}?{self.query}: {message.delta.new_element.exception.message}")
            elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                self.answered.set()

    async def _redraw(self, fragment: str, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            await self.ask(fragment)

    async def click(self, address: str) -> float:
        """Seconds from the click on a link to `address` until its page is answered."""
        self.rest()
        split = urlsplit(address)
        self.name, self.query = split.path, split.query
        self.page_hash = self.pages.get(self.name, "")
        return await self.answer()

    async def answer(self) -> float:
        """Asks for the page; seconds until it is there. Raises what went wrong in it."""
        self.answered.clear()
        began = time.monotonic()
        await self.ask()
        answered = asyncio.create_task(self.answered.wait())
        await asyncio.wait({answered, self.listening}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            answered.cancel()
            if self.listening.done():
                self.listening.result()
            raise TimeoutError(f"{self.name}?{self.query} is not answered")
        return time.monotonic() - began

    def rest(self) -> None:
        """Redraws nothing any more, as a browser does when its page is left."""
        for task in self.live.values():
            task.cancel()
        self.live.clear()


async def visit(port: int, addresses: list[str], seconds: float, seed: int) -> list[float]:
    chance, times = random.Random(seed), []
    url = f"ws://127.0.0.1:{port}/_stcore/stream"
    async with connect(
        url, origin=f"http://127.0.0.1:{port}", subprotocols=["streamlit"], max_size=None
    ) as connection:
        session = Session(connection, addresses[seed % len(addresses)])
        await session.answer()
        await asyncio.sleep(WARM_UP_S)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(chance.uniform(*PAUSE_S))
            times.append(await session.click(chance.choice([a for a in addresses if a != session.name])))
        session.rest()
        session.listening.cancel()
    return times


async def main(port: int, sessions: int, seconds: float, addresses: list[str]) -> None:
    found = await asyncio.gather(*(visit(port, addresses, seconds, seed) for seed in range(sessions)))
    print(json.dumps([seconds for times in found for seconds in times]))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]))
