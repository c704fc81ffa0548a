# "Interactive Terminal Session". Usage: terminal.py CUID
import asyncio
import base64
import json
import os
import sys

# The document's `websockets.connect`. From websockets 14 on, that name is a newer client without `extra_headers` and `closed`.
from websockets.legacy import client as websockets


class ContainerTerminal:
    def __init__(self, base_url, cuid, username, password):
        self.ws_url = f"ws://{base_url.replace('http://', '')}/ws/{cuid}"
        self.auth = base64.b64encode(f"{username}:{password}".encode()).decode()
        self.ws = None

    async def connect(self, cols=80, rows=24):
        # Connect with TTY size
        headers = {"Authorization": f"Basic {self.auth}"}
        uri = f"{self.ws_url}?cols={cols}&rows={rows}"
        self.ws = await websockets.connect(uri, extra_headers=headers)
        # Start receiver task
        asyncio.create_task(self._receive_output())

    async def _receive_output(self):
        """Receive and print output from container"""
        async for message in self.ws:
            data = json.loads(message)
            if data['type'] == 'stdout':
                if data['encoding'] == 'base64':
                    import base64
                    text = base64.b64decode(data['data']).decode('utf-8', errors='replace')
                else:
                    text = data['data']
                print(text, end='')
            elif data['type'] == 'stderr':
                if data['encoding'] == 'base64':
                    import base64
                    text = base64.b64decode(data['data']).decode('utf-8', errors='replace')
                else:
                    text = data['data']
                print(f"[ERROR] {text}", end='')
            elif data['type'] == 'exit':
                print(f"\n[Process exited with code {data['code']}]")
                await self.ws.close()
            elif data['type'] == 'error':
                print(f"[ERROR] {data['error']}")

    async def send_input(self, text):
        """Send input to container"""
        await self.ws.send(json.dumps({
            "type": "stdin",
            "data": text,
            "encoding": "utf8"
        }))

    async def resize(self, cols, rows):
        """Resize terminal"""
        await self.ws.send(json.dumps({
            "type": "resize",
            "cols": cols,
            "rows": rows
        }))

    async def send_signal(self, signal_name):
        """Send signal (INT, TERM, KILL)"""
        await self.ws.send(json.dumps({
            "type": "signal",
            "name": signal_name
        }))

    async def run_interactive(self):
        """Run interactive terminal"""
        import aioconsole
        await self.connect()
        print("Connected to container. Type 'exit' to quit.")
        print("Special commands: !INT (Ctrl+C), !TERM (terminate), !KILL (force kill)")
        while self.ws and not self.ws.closed:
            try:
                line = await aioconsole.ainput()
                if line == 'exit':
                    await self.ws.send(json.dumps({"type": "close"}))
                    break
                elif line == '!INT':
                    await self.send_signal('INT')
                elif line == '!TERM':
                    await self.send_signal('TERM')
                elif line == '!KILL':
                    await self.send_signal('KILL')
                # Not in the document, which never calls `resize`.
                elif line == '!RESIZE':
                    await self.resize(132, 50)
                else:
                    await self.send_input(line + '\n')
            except Exception as e:
                print(f"Error: {e}")
                break


async def main():
    terminal = ContainerTerminal(
        os.environ["BASE_URL"].replace("http://", ""),
        sys.argv[1],
        os.environ["APP_USER"],
        os.environ["APP_PASS"]
    )
    await terminal.run_interactive()

asyncio.run(main())
