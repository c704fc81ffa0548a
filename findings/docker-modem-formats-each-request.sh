#!/usr/bin/env bash
# docker-modem 5.0.7 (the client below dockerode) formats each request for a debug log that is off.
#
# Before a request is sent, its options are given to util.inspect with no limit of depth and with hidden properties, and the text to the
# debug log, which drops it unless DEBUG names it. The options hold the connection's agent and all of its open sockets, so what it costs
# grows with the number of calls under way: a client that makes many calls at a time pays for texts that nobody
# reads. The debug package formats only what is logged, if it is given the values themselves.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts docker-modem@5.0.7 >/dev/null
cat >show.js <<'JS'
const http = require("node:http");
const util = require("node:util");
const Modem = require("docker-modem");

const server = http.createServer((_, response) => response.end("{}")).listen(0, "127.0.0.1", async () => {
  const agent = new http.Agent();
  let formatted = 0;
  agent[util.inspect.custom] = () => {
    formatted += 1;
    return "agent";
  };
  const modem = new Modem({ protocol: "http", host: "127.0.0.1", port: server.address().port, agent });
  for (let call = 0; call < 3; call += 1) {
    await new Promise((resolve, reject) =>
      modem.dial({ path: "/info", method: "GET", statusCodes: { 200: true } }, (error, answer) => (error ? reject(error) : resolve(answer))),
    );
  }
  console.log(`DEBUG is ${process.env.DEBUG === undefined ? "not set" : "set"}; 3 calls, the agent was formatted ${formatted} times`);
  server.close();
});
JS
env -u DEBUG node show.js | tee seen
diff - seen <<'EXPECTED'
DEBUG is not set; 3 calls, the agent was formatted 3 times
EXPECTED
