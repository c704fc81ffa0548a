// Writes a package.json and a package-lock.json that hold only esbuild and the packages that the build bundles, so that
// `npm ci` installs no tool of the tests. Usage: build-packages.js FOLDER
const { readdirSync, readFileSync, writeFileSync } = require("node:fs");
const path = require("node:path");

const ROOT = path.resolve(__dirname, "..");

/** Of these packages only files for browsers are taken: what they depend on is in the files. */
const WITHOUT_DEPENDENCIES = new Set(["redoc", "swagger-ui-dist"]);

const readJson = (file) => JSON.parse(readFileSync(path.join(ROOT, file), "utf8"));

/** The text of the sources and of the build script, which name the packages that they need. */
function sources() {
  const files = ["bin", "config", "lib"].flatMap((folder) =>
    readdirSync(path.join(ROOT, folder), { recursive: true }).map((name) => path.join(folder, name)),
  );
  return [...files.filter((file) => file.endsWith(".ts")), "scripts/build.js"]
    .map((file) => readFileSync(path.join(ROOT, file), "utf8"))
    .join("\n");
}

/** Where the lock file has the package `name` that code in `folder` loads: in the nearest node_modules above it. */
function locate(packages, folder, name) {
  for (let above = folder; ; above = above.slice(0, Math.max(0, above.lastIndexOf("node_modules/") - 1))) {
    const found = path.posix.join(above, "node_modules", name);
    if (packages[found] !== undefined) return found;
    if (above === "") return undefined;
  }
}

function reduced() {
  const description = readJson("package.json");
  const lock = readJson("package-lock.json");
  const text = sources();
  const needed = Object.entries(description.devDependencies).filter(([name]) => text.includes(`"${name}"`) || text.includes(`"${name}/`));
  const kept = {};
  const keep = (folder) => {
    if (folder === undefined || kept[folder] !== undefined) return;
    const { dev, devOptional, ...entry } = lock.packages[folder];
    kept[folder] = entry;
    if (WITHOUT_DEPENDENCIES.has(path.posix.relative("node_modules", folder))) {
      for (const kind of ["dependencies", "optionalDependencies", "peerDependencies"]) delete entry[kind];
      return;
    }
    const peers = Object.keys(entry.peerDependencies ?? {}).filter((name) => !entry.peerDependenciesMeta?.[name]?.optional);
    for (const name of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })) keep(locate(lock.packages, folder, name));
    for (const name of peers) keep(locate(lock.packages, folder, name));
  };
  for (const [name] of needed) keep(locate(lock.packages, "", name));
  const { name, version } = description;
  const root = { name, version, dependencies: Object.fromEntries(needed) };
  return {
    description: root,
    lock: { name, version, lockfileVersion: lock.lockfileVersion, requires: true, packages: { "": root, ...kept } },
  };
}

const [folder] = process.argv.slice(2);
const { description, lock } = reduced();
for (const [file, content] of [
  ["package.json", description],
  ["package-lock.json", lock],
]) {
  writeFileSync(path.join(folder, file), `${JSON.stringify(content, null, 2)}\n`);
}
