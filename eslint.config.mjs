import jest from "eslint-plugin-jest";
import jsdoc from "eslint-plugin-jsdoc";
import tseslint from "typescript-eslint";

const pureFiles = [
  "lib/domain/**/*.ts",
  "lib/api/**/*.ts",
  "capabilities/**/decide.ts",
  "capabilities/**/plan.ts",
  "capabilities/**/params.ts",
  "capabilities/**/resources/**/*.ts",
];

export default tseslint.config(
  { ignores: ["bin/", "dist/", "node_modules/", "coverage/", "*.js", "*.mjs", "*.cjs"] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    files: ["**/*.ts"],
    languageOptions: {
      parserOptions: { project: "./test/tsconfig.json", tsconfigRootDir: import.meta.dirname },
    },
    plugins: { jsdoc },
    rules: {
      "max-params": ["error", 3],
      "max-lines-per-function": ["error", { max: 70, skipBlankLines: true, skipComments: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-unused-vars": [
        "error",
        { argsIgnorePattern: "^_", varsIgnorePattern: "^_" },
      ],
      "jsdoc/require-jsdoc": [
        "error",
        { publicOnly: true, require: { FunctionDeclaration: true, ClassDeclaration: true } },
      ],
      "no-console": "error",
    },
  },
  {
    files: pureFiles,
    rules: {
      "no-restricted-globals": [
        "error",
        { name: "process", message: "Decisions are pure: configuration is passed in." },
        { name: "fetch", message: "Decisions are pure: I/O lives in lib/cluster." },
        { name: "setTimeout", message: "Decisions are pure: timers live in lib/cluster." },
        { name: "setInterval", message: "Decisions are pure: timers live in lib/cluster." },
      ],
      "no-restricted-properties": [
        "error",
        {
          object: "Date",
          property: "now",
          message: "Decisions are pure: the time is passed in as nowMs.",
        },
        { object: "Math", property: "random", message: "Decisions are pure." },
      ],
    },
  },
  {
    files: ["scripts/**/*.ts", "bench/**/*.ts", "test/cluster/**/*.ts"],
    rules: { "no-console": "off" },
  },
  {
    files: ["**/*.test.ts"],
    ...jest.configs["flat/recommended"],
  },
  {
    files: ["**/*.test.ts"],
    rules: {
      "max-lines-per-function": "off",
      // A fault is a test that is recorded: test/faults/fault.ts.
      "jest/no-standalone-expect": ["error", { additionalTestBlockFunctions: ["fault"] }],
      "jest/expect-expect": ["error", { assertFunctionNames: ["expect*", "fc.assert"] }],
    },
  },
);
