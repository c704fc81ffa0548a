const { availableParallelism } = require("node:os");

const transform = {
  "^.+\\.[jt]s$": ["@swc/jest", { jsc: { parser: { syntax: "typescript" }, target: "es2022" }, module: { type: "commonjs" } }],
};

/** The tests of one folder; all but the unit tests need root on Linux, and the engines that `test/support/engine.ts` starts. */
const project = (displayName, more = {}) => ({
  displayName,
  rootDir: __dirname,
  testMatch: [`<rootDir>/test/${displayName}/**/*.test.ts`],
  modulePathIgnorePatterns: ["<rootDir>/dist"],
  transform,
  ...more,
});
const engines = { globalSetup: "<rootDir>/test/support/global-setup.ts", globalTeardown: "<rootDir>/test/support/global-teardown.ts" };

module.exports = {
  projects: [project("unit"), project("docker", engines), project("cluster", engines), project("load", engines)],
  testSequencer: "<rootDir>/test/support/sequencer.js",
  // Ends a test that hangs. It is long, because a test must not fail while another process uses the cores.
  testTimeout: 900_000,
  // Suites wait for engines more than they compute. Those with three hosts start six servers each: `npm test` runs these two at a time.
  maxWorkers: 2 * availableParallelism(),
  // Starting processes out of a large one is slow.
  workerIdleMemoryLimit: "350MB",
};
