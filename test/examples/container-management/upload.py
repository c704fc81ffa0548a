# "Upload ZIP Archive". Usage: upload.py CUID
import base64
import io
import os
import sys
import zipfile

import requests


def upload_files_to_container(base_url, cuid, files_dict, auth_headers):
    """
    Upload files to container mount
    files_dict: {"path/in/container": file_content_bytes}
    """
    # Create ZIP in memory
    zip_buffer = io.BytesIO()
    with zipfile.ZipFile(zip_buffer, 'w', zipfile.ZIP_DEFLATED) as zf:
        for path, content in files_dict.items():
            zf.writestr(path, content)
    zip_buffer.seek(0)
    # Upload ZIP
    response = requests.post(
        f"{base_url}/containers/{cuid}/upload-zip",
        data=zip_buffer.read(),
        headers={
            **auth_headers,
            'Content-Type': 'application/zip'
        }
    )
    return response.status_code == 200


# Example: Upload Python application
files = {
    "boot.py": b"""
import os
import time
print(f"Container {os.environ.get('CONTAINER_UID')} started")
print(f"Tags: {os.environ.get('TAGS', 'none')}")
while True:
    print("Working...")
    time.sleep(10)
""",
    "requirements.txt": b"requests==2.31.0\nnumpy==1.24.0\n",
    "data/config.json": b'{"setting": "value"}'
}
auth = base64.b64encode(f"{os.environ['APP_USER']}:{os.environ['APP_PASS']}".encode()).decode()
print(upload_files_to_container(os.environ["BASE_URL"], sys.argv[1], files, {"Authorization": f"Basic {auth}"}))
