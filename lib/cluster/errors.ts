/** An answer of the API server that is no success. Its message never holds what a Secret holds. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /**
   * @param options `status`: the HTTP status code; `reason`: `Status.reason`; `method`: of the request; `retryAfterMs`: as
   * the server asked.
   */
  constructor(
    message: string,
    readonly options: {
      readonly status: number;
      readonly reason: string;
      readonly method?: string;
      readonly retryAfterMs?: number;
    },
  ) {
    super(message);
  }
}

/** An error that a retry can't mend: the queue waits until an input changes. */
export class TerminalError extends Error {
  override readonly name = "TerminalError";
}

const hasReason = (error: unknown, reason: string): boolean =>
  error instanceof ApiError && error.options.reason === reason;

/** The object, or what holds it, does not exist. */
export const isNotFound = (error: unknown): boolean =>
  error instanceof ApiError && error.options.status === 404;
/** A write's precondition no longer holds, or another field manager owns a field. */
export const isConflict = (error: unknown): boolean => hasReason(error, "Conflict");
/** An object of that name exists already. */
export const isAlreadyExists = (error: unknown): boolean => hasReason(error, "AlreadyExists");
/** RBAC or an admission plugin says no. */
export const isForbidden = (error: unknown): boolean =>
  error instanceof ApiError && error.options.status === 403;
/** The object is not valid; the same object will not become so by itself. */
export const isInvalid = (error: unknown): boolean =>
  error instanceof ApiError && error.options.status === 422;

/** A sentence for a log or a condition, whatever was thrown. */
export function describeError(error: unknown): string {
  if (error instanceof Error) return error.message === "" ? error.name : error.message;
  return typeof error === "string" ? error : "unknown error";
}

/** Why an object can't be brought in line, as a condition says it. */
export interface RefusalDescription {
  readonly reason: "ReadRefused" | "WriteRefused";
  readonly message: string;
}

/** Describes what the API server refuses for what it is; undefined where another try may do. */
export function describeRefusal(error: unknown): RefusalDescription | undefined {
  if (!isForbidden(error) && !isInvalid(error)) return undefined;
  const isRead = error instanceof ApiError && error.options.method === "GET";
  const message = `The API server refuses a ${isRead ? "read" : "write"}: ${describeError(error)}`;
  return { reason: isRead ? "ReadRefused" : "WriteRefused", message };
}
