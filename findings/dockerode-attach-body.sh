#!/usr/bin/env bash
# dockerode 5.0.1 with docker-modem 5.0.7, container.attach() with hijack.
#
# The Engine API takes the options of an attach in the query; the request has no body, and after the head of the answer the connection
# carries the container's input. dockerode sends the options twice: in the query and, because they are an object, as a JSON body with
# Content-Length, on the request that offers the upgrade. An engine reads and drops such a body. A server or proxy which hands on what
# follows the head, as the upgrade suggests, gives the container that JSON as its first input.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts dockerode@5.0.1 docker-modem@5.0.7 >/dev/null
cat >show.js <<'JS'
const { createServer } = require("node:net");
const Docker = require("dockerode");

const server = createServer((socket) => {
  let text = "";
  socket.on("data", (bytes) => {
    text += bytes;
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = text.slice(0, end).split("\r\n");
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
    const rest = text.slice(end + 4);
    if (rest.length < length) return;
    console.log(head[0]);
    for (const line of head.filter((each) => /^(upgrade|content-type|content-length):/i.test(each)).sort()) console.log(line);
    console.log(`behind the head: ${rest}`);
    socket.destroy();
    server.close();
  });
});
server.listen(0, "127.0.0.1", () => {
  const docker = new Docker({ host: "127.0.0.1", port: server.address().port });
  docker.getContainer("box").attach({ stream: true, stdin: true, stdout: true, hijack: true }, () => {});
});
JS
node show.js | tee seen
diff - seen <<'EXPECTED'
POST /containers/box/attach?stream=true&stdin=true&stdout=true&hijack=true HTTP/1.1
Content-Length: 56
Content-Type: application/json
Upgrade: tcp
behind the head: {"stream":true,"stdin":true,"stdout":true,"hijack":true}
EXPECTED
