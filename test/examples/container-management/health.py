# "Health Monitoring". Stops at the first line of input.
import base64
import os
import threading
import time

import requests


class HealthMonitor:
    def __init__(self, base_url, auth_headers, check_interval=30):
        self.base_url = base_url
        self.headers = auth_headers
        self.check_interval = check_interval
        self.running = False
        self.thread = None

    def start(self):
        self.running = True
        self.thread = threading.Thread(target=self._monitor_loop)
        self.thread.daemon = True
        self.thread.start()

    def stop(self):
        self.running = False
        if self.thread:
            self.thread.join()

    def _monitor_loop(self):
        while self.running:
            try:
                response = requests.get(
                    f"{self.base_url}/healthz",
                    headers=self.headers,
                    timeout=5
                )
                if response.status_code == 200:
                    data = response.json()
                    print(f"API healthy: Compose {data['compose_version']}")
                else:
                    print(f"API unhealthy: Status {response.status_code}")
            except Exception as e:
                print(f"Health check failed: {e}")
            time.sleep(self.check_interval)


auth = base64.b64encode(f"{os.environ['APP_USER']}:{os.environ['APP_PASS']}".encode()).decode()
monitor = HealthMonitor(os.environ["BASE_URL"], {"Authorization": f"Basic {auth}"}, check_interval=0.2)
monitor.start()
input()
monitor.stop()
