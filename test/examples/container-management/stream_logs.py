# "Container Logs Streaming". Usage: stream_logs.py CUID
import asyncio
import base64
import json
import os
import sys

# The document's `websockets.connect`. From websockets 14 on, that name is a newer client without `extra_headers`.
from websockets.legacy import client as websockets


def process_log_line(log_line):
    print(log_line, end='')


async def stream_logs(base_url, cuid, auth):
    """Stream container logs in real-time"""
    ws_url = f"ws://{base_url.replace('http://', '')}/ws/{cuid}"
    async with websockets.connect(
        ws_url,
        extra_headers={"Authorization": f"Basic {auth}"}
    ) as ws:
        # Request log streaming
        await ws.send(json.dumps({
            "type": "stdin",
            "data": "tail -f /app/logs/app.log\n",
            "encoding": "utf8"
        }))
        # Process incoming logs
        async for message in ws:
            data = json.loads(message)
            if data['type'] == 'stdout':
                log_line = data['data']
                # Process log line (e.g., parse JSON logs, send to monitoring)
                process_log_line(log_line)


auth = base64.b64encode(f"{os.environ['APP_USER']}:{os.environ['APP_PASS']}".encode()).decode()
asyncio.run(stream_logs(os.environ["BASE_URL"], sys.argv[1], auth))
