import { ApiError } from "../../../lib/cluster";

/** What a retry may mend: another writer was first, too many requests, a token that has run out. */
const PASSING = [401, 408, 409, 429];

/** Whether the API server, or a policy of its, refuses a write for what it is. */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  const { status } = error.options;
  return status >= 400 && status < 500 && !PASSING.includes(status);
}
