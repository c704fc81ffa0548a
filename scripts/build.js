// Bundles the program into dist, so that the installed package needs no other package. Usage: build.js [FOLDER]
// It does not check types: `npm run check` does.
const { chmodSync, cpSync, readdirSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
const { isBuiltin } = require("node:module");
const path = require("node:path");
const esbuild = require("esbuild");

const ROOT = path.resolve(__dirname, "..");
const DIST = path.resolve(process.argv[2] ?? path.join(ROOT, "dist"));

/** Packages that the start does not need. Each becomes a bundle in dist/packages that is loaded at its first use, with these modules. */
const ON_DEMAND = {
  "@aws-sdk/client-s3": ["@aws-sdk/client-s3"],
  "@fastify/busboy": ["@fastify/busboy"],
  "@modelcontextprotocol/sdk": [
    "@modelcontextprotocol/sdk/server/index.js",
    "@modelcontextprotocol/sdk/server/sse.js",
    "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js",
    "@modelcontextprotocol/sdk/types.js",
    "@modelcontextprotocol/sdk/validation/ajv",
  ],
  cors: ["cors"],
  "docker-cli-js": ["docker-cli-js"],
  "rate-limit-redis": ["rate-limit-redis"],
  redis: ["redis"],
  systeminformation: ["systeminformation"],
  yauzl: ["yauzl"],
  yazl: ["yazl"],
};

/** Files of packages that dist/docs-pages serves to browsers as they are, with the licences of what is in them. */
const DOCS_FILES = [
  "redoc/bundles/redoc.standalone.js",
  "redoc/bundles/redoc.standalone.js.LICENSE.txt",
  "swagger-ui-dist/favicon-32x32.png",
  "swagger-ui-dist/swagger-ui-bundle.js",
  "swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt",
  "swagger-ui-dist/swagger-ui.css",
];

/** Modules and style sheets of packages that dist/console serves to browsers, with their names there. */
const CONSOLE_FILES = {
  "@xterm/addon-fit/lib/addon-fit.mjs": "addon-fit.mjs",
  "@xterm/xterm/css/xterm.css": "xterm.css",
  "@xterm/xterm/lib/xterm.mjs": "xterm.mjs",
  "htm/dist/htm.mjs": "htm.mjs",
  "preact/dist/preact.mjs": "preact.mjs",
  "preact/hooks/dist/hooks.mjs": "hooks.mjs",
  "uplot/dist/uPlot.esm.js": "uPlot.esm.js",
  "uplot/dist/uPlot.min.css": "uPlot.min.css",
};

/** Edits of packages that load or do what this program doesn't use, or at the start what only some calls need: file, text, and the text in its place. */
const EDITS = [
  // BuildKit's progress, for which it needs a package for protocol buffers.
  ["dockerode/lib/docker.js", "var buildkit = require('./buildkit');", "throw new Error('Without BuildKit');"],
  // Messages in 60 languages; the English ones are loaded by another file.
  ["zod/v4/classic/external.cjs", 'exports.locales = __importStar(require("../locales/index.cjs"));', "exports.locales = {};"],
  ["zod/v4/core/index.cjs", 'exports.locales = __importStar(require("../locales/index.cjs"));', "exports.locales = {};"],
  // Formats each request for a debug log that is off.
  ["docker-modem/lib/modem.js", "debug('Sending: %s', util.inspect(options, {\n    showHidden: true,\n    depth: null\n  }));", ""],
  ["docker-modem/lib/modem.js", "  ssh = require('./ssh'),\n", ""],
  ["dockerode/lib/docker.js", "withSession = require('./session'),", "withSession = () => { throw new Error('Without BuildKit'); },"],
];

/** Tables of characters that only a body in an East Asian encoding needs: a quarter of what the packages of the start would hold. */
const ICONV_TABLES = "node_modules/iconv-lite/encodings/tables";

const bundleOf = (name) => `${name.replace("@", "").replace("/", "-")}.js`;
const NAME_OF_MODULE = new Map(Object.entries(ON_DEMAND).flatMap(([name, modules]) => modules.map((module) => [module, name])));

/** Leaves the packages to their own bundles, and collects the names of those that are loaded at the start. */
function packagesApart(loadedAtStart) {
  return {
    name: "packages-apart",
    setup(build) {
      build.onResolve({ filter: /^[a-z@]/ }, ({ path: module, kind }) => {
        if (kind === "entry-point" || isBuiltin(module)) return undefined;
        const name = NAME_OF_MODULE.get(module);
        if (name !== undefined) return { path: `../packages/${bundleOf(name)}`, external: true };
        loadedAtStart.add(module);
        return { path: module, namespace: "start" };
      });
      build.onLoad({ filter: /./, namespace: "start" }, ({ path: module }) => ({
        contents: `module.exports = require("../packages/start.js")["${module}"];`,
      }));
      build.onResolve({ filter: /^\.\.\/packages\//, namespace: "start" }, ({ path: file }) => ({ path: file, external: true }));
    },
  };
}

/** Within the bundle of packages, those of ON_DEMAND stay apart. */
const onDemand = {
  name: "on-demand",
  setup(build) {
    build.onResolve({ filter: /^[a-z@]/ }, ({ path: module }) => {
      const name = NAME_OF_MODULE.get(module);
      return name === undefined ? undefined : { path: `./${bundleOf(name)}`, external: true };
    });
  },
};

/** iconv-lite loads each table at its first use: they stay files. */
const tablesApart = {
  name: "tables-apart",
  setup(build) {
    build.onResolve({ filter: /^\.\/tables\/.*\.json$/ }, ({ path: file, importer }) =>
      importer.includes("/iconv-lite/encodings/") ? { path: file, external: true } : undefined,
    );
  },
};

const edits = {
  name: "edits",
  setup(build) {
    for (const file of new Set(EDITS.map(([file]) => file))) {
      build.onLoad({ filter: new RegExp(`/node_modules/${file.replaceAll(".", "\\.")}$`) }, ({ path: from }) => {
        let contents = readFileSync(from, "utf8");
        for (const [, text, replacement] of EDITS.filter(([edited]) => edited === file)) {
          if (!contents.includes(text)) throw new Error(`${file} has no longer: ${text}`);
          contents = contents.replace(text, () => replacement);
        }
        return { contents };
      });
    }
  },
};

const COMMON = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: "node",
  target: "node20.19",
  format: "cjs",
  // As require(): the names of a minified CommonJS module are not visible to import().
  supported: { "dynamic-import": false },
  sourcemap: true,
  sourcesContent: false,
  // Compiled modules and colours, which their users do without: they must not depend on what is installed here.
  external: ["*.node", "bufferutil", "supports-color", "utf-8-validate"],
  metafile: true,
  logLevel: "warning",
};

/** Bundles bin, config and lib, readable in a stack, and beside it the packages that the start needs. */
async function bundleProgram() {
  const entryPoints = ["bin/docker-server.ts", "bin/health-check.ts"];
  const loadedAtStart = new Set();
  const program = await esbuild.build({ ...COMMON, entryPoints, outdir: path.join(DIST, "bin"), plugins: [packagesApart(loadedAtStart)] });
  // V8 holds a text with any other character in two bytes each.
  const wide = /^.*[^\0-\xff].*$/m.exec(readFileSync(path.join(DIST, "bin/docker-server.js"), "utf8"));
  if (wide) throw new Error(`the program has a character outside Latin-1, in: ${wide[0].trim()}`);
  const exported = [...loadedAtStart].sort().map((module) => `"${module}": require("${module}"),`);
  const packages = await bundlePackages("start.js", `module.exports = {${exported.join("")}};`, [onDemand, tablesApart, edits]);
  return [program, packages];
}

/** A package with one module keeps its exports as they are; of several modules all exports are put together. */
async function bundleOnDemand(name) {
  const modules = ON_DEMAND[name];
  const parts =
    modules.length === 1 ? `module.exports = require("${name}");` : modules.map((module) => `export * from "${module}";`).join("");
  return [await bundlePackages(bundleOf(name), parts, [])];
}

function bundlePackages(file, contents, plugins) {
  const outfile = path.join(DIST, "packages", file);
  return esbuild.build({ ...COMMON, minify: true, stdin: { contents, resolveDir: ROOT }, outfile, plugins });
}

/** Names and folders of the packages whose files are in these bundles. */
function packagesIn(files) {
  const folders = files.map((file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]).filter(Boolean);
  return [...new Set(folders)].sort();
}

/** The licences of all packages that are in dist, as one text. */
function licences(folders) {
  const parts = folders.map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(path.join(ROOT, folder, "package.json"), "utf8"));
    const files = readdirSync(path.join(ROOT, folder)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
    const texts = files.map((file) => readFileSync(path.join(ROOT, folder, file), "utf8").trim());
    return [`${name} ${version}: ${license}`, ...texts].join("\n\n");
  });
  return `dist holds code of these packages, under their licences.\n\n${parts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}

/** Copies the console: its own modules as they are, and those of packages without their import of a package by name, which browsers can't resolve. */
function copyConsole() {
  const own = path.join(ROOT, "lib/console/public");
  const target = path.join(DIST, "console");
  for (const file of readdirSync(own).filter((name) => /\.(js|css)$/.test(name))) cpSync(path.join(own, file), path.join(target, file));
  for (const [file, name] of Object.entries(CONSOLE_FILES)) {
    const text = readFileSync(path.join(ROOT, "node_modules", file), "utf8");
    const content = text.replace('from"preact"', 'from"./preact.mjs"').replace(/^\/\/# sourceMappingURL=.*$/m, "");
    if (/^(?:import|export)\b[^;\n]*["'][a-z@]/m.test(content)) throw new Error(`${file} imports another package`);
    writeFileSync(path.join(target, name), content);
  }
}

async function main() {
  rmSync(DIST, { recursive: true, force: true });
  const results = (await Promise.all([bundleProgram(), ...Object.keys(ON_DEMAND).map(bundleOnDemand)])).flat();
  for (const file of DOCS_FILES) cpSync(path.join(ROOT, "node_modules", file), path.join(DIST, "docs-pages", path.basename(file)));
  cpSync(path.join(ROOT, ICONV_TABLES), path.join(DIST, "packages/tables"), { recursive: true });
  copyConsole();
  const bundled = results.flatMap(({ metafile }) => Object.keys(metafile.inputs));
  const copied = [...DOCS_FILES, ...Object.keys(CONSOLE_FILES)].map((file) => `node_modules/${file}`);
  writeFileSync(path.join(DIST, "LICENSES.txt"), licences(packagesIn([...bundled, ...copied])));
  chmodSync(path.join(DIST, "bin/docker-server.js"), 0o755);
}

main().catch((error) => {
  rmSync(DIST, { recursive: true, force: true }); // set-up.sh takes the program's file as the sign of a whole build
  process.stderr.write(`build: ${error.message}\n`);
  process.exit(1);
});
