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
  testTimeout: 60_000,
  maxWorkers: 2,
};
