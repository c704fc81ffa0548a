# "Port Management". Usage: ports.py CUID
import base64
import os
import sys

import requests


def update_ports(base_url, cuid, auth_headers):
    new_ports = {
        "ports": [
            {"host": 3000, "container": 3000, "protocol": "tcp"},
            {"host": 9000, "container": 9000, "protocol": "udp"}
        ]
    }
    response = requests.patch(
        f"{base_url}/containers/{cuid}/ports",
        json=new_ports,
        headers=auth_headers
    )
    return response.status_code == 200


auth = base64.b64encode(f"{os.environ['APP_USER']}:{os.environ['APP_PASS']}".encode()).decode()
print(update_ports(os.environ["BASE_URL"], sys.argv[1], {"Authorization": f"Basic {auth}"}))
