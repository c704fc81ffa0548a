#!/usr/bin/env bash
# docker-py 5.0.3 (Debian 12's python3-docker 5.0.3-1), build() with a Dockerfile outside of the context folder.
#
# The request names `dockerfile` twice: first the name that the file gets in the archive, and then the whole text of the Dockerfile. So
# the text is in the URL, where it meets limits of its length and gets into access logs, and a server that refuses a parameter which
# comes twice refuses the build. Engines take the first value. A Dockerfile within the context is named once.
#
# The stand-in below prints the parameters of a build and answers it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
chmod 755 "$folder"
packages=(python3-docker=5.0.3-1 python3-requests=2.28.1+dfsg-1 python3-urllib3 python3-websocket=1.2.3-1 python3-six=1.16.0-4 python3-idna python3-chardet
  python3-certifi python3-charset-normalizer python3-pkg-resources python3-distutils python3-lib2to3)
apt-get download -qq "${packages[@]}" 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
mkdir context outside
echo 'FROM scratch' | tee context/Dockerfile >outside/Dockerfile
cat >build.py <<'PY'
import http.server, threading, urllib.parse
import docker

class Engine(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        values = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["dockerfile"]
        print(len(values), "of dockerfile, one of them is the text:", any("FROM scratch" in value for value in values))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Engine)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = docker.APIClient(base_url=f"tcp://127.0.0.1:{server.server_port}", version="1.41")
for dockerfile in ["Dockerfile", "../outside/Dockerfile"]:
    print(dockerfile + ":", end=" ", flush=True)
    list(client.build(path="context", dockerfile=dockerfile))
PY
PYTHONPATH=root/usr/lib/python3/dist-packages PYTHONUNBUFFERED=1 /usr/bin/python3 build.py >seen
cat seen
diff seen - <<'SEEN'
Dockerfile: 1 of dockerfile, one of them is the text: False
../outside/Dockerfile: 2 of dockerfile, one of them is the text: True
SEEN
echo "as described"
