// Pepr reads both when it is imported: without a mode it would start its controller for production.
process.env.PEPR_MODE = "dev";
process.env.LOG_LEVEL = "fatal";
