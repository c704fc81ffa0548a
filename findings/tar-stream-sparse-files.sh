#!/usr/bin/env bash
# tar-stream 3.2.2, sparse files in GNU tar's pax formats.
#
# GNU tar stores a sparse file of its pax formats 0.1 and 1.0 as an ordinary entry whose pax records say what it is. extract() applies
# none of the GNU.sparse.* records: the entry has type "file" and no error. In format 1.0 its name is that of tar's stand-in,
# GNUSparseFile.PID/NAME, its size that of the stored blocks, and its content begins with the map of the holes. In format 0.1 the name is
# such a stand-in too, and the content is the stored blocks without the holes. A reader must look for GNU.sparse.* in header.pax itself.
# Seen: a file of 1,048,576 bytes with data only in its last 4,096.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts tar-stream@3.2.2 >/dev/null
truncate --size=1044480 holes
head -c 4096 /dev/zero | tr '\0' x >>holes
for version in 0.1 1.0; do tar --format=pax --sparse --hole-detection=raw --sparse-version=$version -cf "$version.tar" holes; done
cat >show.js <<'JS'
const { createReadStream } = require("node:fs");
const { buffer } = require("node:stream/consumers");
const tar = require("tar-stream");

async function main() {
  for (const version of ["0.1", "1.0"]) {
    for await (const entry of createReadStream(`${version}.tar`).pipe(tar.extract())) {
      const { name, type, pax } = entry.header;
      const content = await buffer(entry);
      const records = `${pax["GNU.sparse.name"]} of ${pax["GNU.sparse.realsize"] ?? pax["GNU.sparse.size"]}`;
      console.log(`${version}: ${type} ${name.replace(/\.\d+\//, ".PID/")}, ${content.length} bytes, map first: ${content[0] !== 120}; pax: ${records}`);
    }
  }
}
main();
JS
node show.js | tee seen
diff - seen <<'EXPECTED'
0.1: file ./GNUSparseFile.PID/holes, 4096 bytes, map first: false; pax: holes of 1048576
1.0: file ./GNUSparseFile.PID/holes, 4608 bytes, map first: true; pax: holes of 1048576
EXPECTED
