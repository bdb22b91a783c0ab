"use strict";

/** Runs the command line from its TypeScript; `name` is what the user has called. */
exports.launch = (name) => {
  require("tsx/cjs");
  require("../cli/main.ts").main(name);
};
