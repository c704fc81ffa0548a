#!/usr/bin/env bash
# tar-stream 3.2.2, owner ids that need more than six octal digits.
#
# pack() writes any larger uid or gid as 262143 (octal 777777), with no error and no pax record. The format has seven digits for them,
# and GNU tar writes ids up to 2097151 there, larger ones in base 256 or, with --format=pax, in pax records.
# extract() gives the pax records of such an entry in header.pax, and leaves header.uid and header.gid at what the digits say (0), though
# it applies the pax records of path, linkpath, size and mtime to the header.
# Seen: packing uid 300000 gives 262143; reading a pax archive with uid 3000000 gives uid 0 and pax.uid "3000000".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts tar-stream@3.2.2 >/dev/null
echo content >file
tar --format=pax --owner=:3000000 --group=:3000001 -cf pax.tar file
cat >show.js <<'JS'
const { createReadStream, writeFileSync } = require("node:fs");
const { buffer } = require("node:stream/consumers");
const tar = require("tar-stream");

async function main() {
  const packed = tar.pack();
  packed.entry({ name: "file", uid: 300000, gid: 300001 }, "content");
  packed.finalize();
  writeFileSync("packed.tar", await buffer(packed));
  for await (const entry of createReadStream("pax.tar").pipe(tar.extract())) {
    const { uid, gid, pax } = entry.header;
    console.log(`extract: uid ${uid} gid ${gid} pax ${pax.uid} ${pax.gid}`);
    entry.resume();
  }
}
main();
JS
node show.js >seen
echo "pack: $(tar --numeric-owner -tvf packed.tar | awk '{print $2}')" >>seen
cat seen
diff - seen <<'EXPECTED'
extract: uid 0 gid 0 pax 3000000 3000001
pack: 262143/262143
EXPECTED
