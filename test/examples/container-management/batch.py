# "Async Operations"
import asyncio
import base64
import os

import aiohttp


class AsyncAPIClient:
    def __init__(self, base_url, username, password):
        self.base_url = base_url
        auth = base64.b64encode(f"{username}:{password}".encode()).decode()
        self.headers = {"Authorization": f"Basic {auth}"}

    async def __aenter__(self):
        self.session = aiohttp.ClientSession(headers=self.headers)
        return self

    async def __aexit__(self, exc_type, exc_val, exc_tb):
        await self.session.close()

    async def batch_create(self, configs):
        tasks = []
        for config in configs:
            task = self.session.post(f"{self.base_url}/containers", json=config)
            tasks.append(task)
        responses = await asyncio.gather(*tasks)
        return [await r.json() for r in responses]


async def main():
    configs = [
        {"image": "nginx:alpine"},
        {"image": "redis:alpine"},
        {"image": "postgres:alpine"}
    ]
    async with AsyncAPIClient(os.environ["BASE_URL"], os.environ["APP_USER"], os.environ["APP_PASS"]) as client:
        containers = await client.batch_create(configs)
        print(f"Created {len(containers)} containers")
        for container in containers:
            print(container["image"], container["cuid"])

asyncio.run(main())
