// ESM-only packages that pepr and client-node bring are compiled too, since jest runs CommonJS.
const esmPackages = [
  "pepr/src",
  "kubernetes-fluent-client",
  "@kubernetes/client-node",
  "openid-client",
  "oauth4webapi",
  "jose",
  "jsonpath-plus",
  "jsep",
  "@jsep-plugin",
  "rfc4648",
  // mockttp's.
  "get-port",
  "milliparsec",
];

const shared = {
  rootDir: __dirname,
  testEnvironment: "node",
  transform: {
    "^.+\\.[cm]?[jt]s$": [
      "@swc/jest",
      { jsc: { parser: { syntax: "typescript" }, target: "es2022" }, module: { type: "commonjs" } },
    ],
  },
  transformIgnorePatterns: [`/node_modules/(?!(${esmPackages.join("|")})/)`],
  setupFiles: ["<rootDir>/test/setup.ts"],
  moduleFileExtensions: ["ts", "js", "mjs", "cjs", "json"],
};

module.exports = {
  // No test asserts on time; a loaded machine takes its time.
  testTimeout: 120_000,
  projects: [
    {
      ...shared,
      displayName: "unit",
      testMatch: ["<rootDir>/{bench,capabilities,lib,scripts,test}/**/*.test.ts"],
      testPathIgnorePatterns: ["/node_modules/", "<rootDir>/test/e2e/", "<rootDir>/test/faults/"],
    },
    { ...shared, displayName: "e2e", testMatch: ["<rootDir>/test/e2e/**/*.test.ts"] },
    { ...shared, displayName: "faults", testMatch: ["<rootDir>/test/faults/**/*.test.ts"] },
  ],
};
