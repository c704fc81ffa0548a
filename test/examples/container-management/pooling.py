# "Connection Pooling"
import base64
import os

import requests


class APIClient:
    def __init__(self, base_url, username, password):
        self.base_url = base_url
        self.session = requests.Session()
        auth = base64.b64encode(f"{username}:{password}".encode()).decode()
        self.session.headers.update({"Authorization": f"Basic {auth}"})

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        self.session.close()

    def create_container(self, config):
        return self.session.post(f"{self.base_url}/containers", json=config)


base_url = os.environ["BASE_URL"]
with APIClient(base_url, os.environ["APP_USER"], os.environ["APP_PASS"]) as client:
    for _ in range(2):
        response = client.create_container({"image": "nginx:alpine"})
        print(response.status_code, response.json()["cuid"])
    pool = client.session.get_adapter(base_url).poolmanager.connection_from_url(base_url)
    print(f"{pool.num_requests} requests, {pool.num_connections} connection")
