import { ApiError } from "../../../lib/cluster";

/** What a retry may mend: another writer was first, too many requests, a token that has run out. */
const PASSING = [401, 408, 409, 429];

/** Whether the API server, or a policy of its, refuses a write for what it is. */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  const { status } = error.options;
  return status >= 400 && status < 500 && !PASSING.includes(status);
}

/**
 * Runs a write that holds a secret; an error of it does not quote the secret, though an admission webhook's may.
 * @throws What the write throws.
 */
export async function concealing<T>(
  secret: string | undefined,
  write: () => Promise<T>,
): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (secret === undefined || !(error instanceof ApiError)) throw error;
    if (!error.message.includes(secret)) throw error;
    // No cause: it would quote what is concealed.
    throw new ApiError(error.message.replaceAll(secret, "(the route secret)"), error.options);
  }
}
