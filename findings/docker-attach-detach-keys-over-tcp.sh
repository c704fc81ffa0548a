#!/usr/bin/env bash
# docker CLI 20.10.24 (Debian 12's docker.io 20.10.24+dfsg1-1+deb12u1+b6), docker attach --detach-keys; 28.5.2 (Debian sid) does the same.
#
# Pressing the detach keys ends `docker attach` at a unix:// address with "read escape sequence". At a tcp:// address without TLS the
# same keys are swallowed and the command does not end, if the container's first output comes later than the head of the answer; if both
# come at once, it detaches there too. Go's io.Copy hands the copying to ReadFrom of a TCP connection, which wraps the reader's error, and
# the CLI looks for the error itself; with output behind the head the CLI has a wrapper around the connection, which has no ReadFrom.
#
# The stand-in below answers what `docker attach` asks of an engine, the same at both addresses, with output at once or 200 ms later.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"
chmod 755 "$folder"
apt-get download -qq docker.io=20.10.24+dfsg1-1+deb12u1+b6 2>/dev/null
dpkg -x docker.io_*.deb root
cat >engine.js <<'JS'
const { createServer } = require("node:http");
const { writeFileSync } = require("node:fs");
const answer = (response, value) => response.setHeader("Content-Type", "application/json").end(JSON.stringify(value));
const State = { Running: true, Paused: false, Restarting: false, ExitCode: 0 };
const makeServer = () =>
  createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://engine");
    if (pathname === "/_ping") return response.setHeader("Api-Version", "1.41").end("OK");
    if (pathname.endsWith("/json")) return answer(response, { Id: pathname.split("/").at(-2), Config: { Tty: true, OpenStdin: true }, State });
    if (pathname.endsWith("/wait")) return void response.flushHeaders();
    answer(response, {});
  }).on("upgrade", (request, socket) => {
    const head = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    const isLate = request.url.includes("/late/");
    socket.write(isLate ? head : `${head}attached `);
    if (isLate) setTimeout(() => socket.write("attached "), 200);
    socket.on("data", () => {}).on("error", () => {});
  });
makeServer().listen("engine.sock");
const tcp = makeServer().listen(0, "127.0.0.1", () => writeFileSync("port", String(tcp.address().port)));
JS
cat >attach.py <<'PY'
import os, pty, select, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execv("root/usr/bin/docker", ["docker", "-H", sys.argv[1], "attach", "--detach-keys", "a", sys.argv[2]])
output, pressed, end = b"", False, time.time() + 8
while time.time() < end:
    if select.select([terminal], [], [], 0.1)[0]:
        try:
            output += os.read(terminal, 1000)
        except OSError:
            break
    if b"attached" in output and not pressed:
        time.sleep(1)
        os.write(terminal, b"a")
        pressed = True
detached = "detached" if b"read escape sequence" in output else "still attached"
print(sys.argv[1].split(":")[0], "output", sys.argv[2] + ":", detached if pressed else "never attached")
os.kill(pid, 9)
PY
node engine.js &
server=$!
while [ ! -e port ] || [ ! -S engine.sock ]; do sleep 0.1; done
export DOCKER_CONFIG=$folder
for address in unix://engine.sock "tcp://127.0.0.1:$(cat port)"; do
  for name in at-once late; do python3 attach.py "$address" $name 2>&1; done
done | tee seen
diff - seen <<'EXPECTED'
unix output at-once: detached
unix output late: detached
tcp output at-once: detached
tcp output late: still attached
EXPECTED
