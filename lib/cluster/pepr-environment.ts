// Imported before pepr, which reads these when it is imported. Pepr ends the process after five failed watches, and
// lists and reconnects every few minutes; fairlead's own caches never give up, and are told of changes by the server.
process.env.PEPR_RESYNC_FAILURE_MAX ??= "2147483647";
process.env.PEPR_RELIST_INTERVAL_SECONDS ??= "86400";
process.env.PEPR_LAST_SEEN_LIMIT_SECONDS ??= "86400";
