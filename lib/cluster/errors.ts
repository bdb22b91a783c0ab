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

/** A request that was not answered: nobody is there, or it took too long. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
}

/** A watch that ended otherwise than by the server's word, or fell silent. */
export class WatchBrokenError extends Error {
  override readonly name = "WatchBrokenError";
}

/** Reasons of a `Status`, by HTTP status code where several have one. @see https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#StatusReason */
const reasonsByStatus: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  406: "NotAcceptable",
  409: "Conflict",
  410: "Expired",
  413: "RequestEntityTooLarge",
  415: "UnsupportedMediaType",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalError",
  502: "BadGateway",
  503: "ServiceUnavailable",
  504: "Timeout",
};
const statusReasons: ReadonlySet<string> = new Set([
  ...Object.values(reasonsByStatus),
  "AlreadyExists",
  "Gone",
  "ServerTimeout",
]);

function statusOf(error: Error): number | undefined {
  if (error instanceof ApiError) return error.options.status;
  // client-node's watch.
  const { statusCode } = error as { readonly statusCode?: unknown };
  return typeof statusCode === "number" ? statusCode : undefined;
}

/**
 * Why something failed, as one of a few words: the API server's own where it answered, `Unreachable`, `WatchBroken`, or
 * `Internal` for what is no answer at all.
 */
export function errorReason(error: unknown): string {
  if (!(error instanceof Error)) return "Internal";
  if (error instanceof ApiError && statusReasons.has(error.options.reason)) {
    return error.options.reason;
  }
  const status = statusOf(error);
  if (status !== undefined) return reasonsByStatus[status] ?? "OtherStatus";
  if (error instanceof UnreachableError) return "Unreachable";
  if (error instanceof WatchBrokenError) return "WatchBroken";
  // Node's own: ECONNREFUSED, ECONNRESET, …
  if (typeof (error as NodeJS.ErrnoException).code === "string") return "Unreachable";
  return error.cause === undefined ? "Internal" : errorReason(error.cause);
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
