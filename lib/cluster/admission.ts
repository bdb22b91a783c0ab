/** Pepr's mark on every object that it has looked at, before the name of the capability. */
const PEPR_MARK_PREFIX = "fairlead.pepr.dev/";
const METADATA_PATH = "/metadata";
const ANNOTATIONS_PATH = `${METADATA_PATH}/annotations`;
/** How Pepr begins its warning about an error that a capability threw. */
const PEPR_FAILURE = "Action failed: ";
const OWN_NAME = "fairlead: ";
/** Notes of requests that never came to an answer do not pile up. */
const MAX_NOTED_REQUESTS = 1_000;

/** The answer to an admission request, as Pepr makes it and as it is sent. */
export interface AdmissionResponse {
  uid: string;
  allowed: boolean;
  /** Pepr's own; no API server knows it. */
  result?: string;
  status?: { code: number; reason?: string; message: string };
  /** A JSON patch (RFC 6902) in base64. */
  patch?: string;
  patchType?: "JSONPatch";
  warnings?: string[];
}

interface PatchOperation {
  readonly op: string;
  readonly path: string;
  readonly value?: unknown;
}

/** Warnings for objects that are allowed. Pepr takes every warning of a binding for a failure, so they wait here. */
export class AdmissionNotes {
  readonly #warnings = new Map<string, readonly string[]>();

  /** Notes a sentence for whoever sent the request. */
  warn(requestUid: string, message: string): void {
    const noted = this.#warnings.get(requestUid) ?? [];
    if (!noted.includes(message)) this.#warnings.set(requestUid, [...noted, message]);
    const [oldest] = this.#warnings.keys();
    if (oldest !== undefined && this.#warnings.size > MAX_NOTED_REQUESTS) {
      this.#warnings.delete(oldest);
    }
  }

  /** The sentences for a request, which are forgotten then. */
  take(requestUid: string): readonly string[] {
    const noted = this.#warnings.get(requestUid) ?? [];
    this.#warnings.delete(requestUid);
    return noted;
  }
}

/** Measures how long requests take. One at a time is begun and ended for each; what never ends does not pile up. */
export class AdmissionTimer {
  readonly #startedMs = new Map<string, number>();

  /** @param tell Told how long a request took, in milliseconds. */
  constructor(
    private readonly nowMs: () => number,
    private readonly tell: (tookMs: number) => void,
  ) {}

  /** A request has come. */
  begin(requestUid: string): void {
    this.#startedMs.set(requestUid, this.nowMs());
    const [oldest] = this.#startedMs.keys();
    if (oldest !== undefined && this.#startedMs.size > MAX_NOTED_REQUESTS) {
      this.#startedMs.delete(oldest);
    }
  }

  /** A request is about to be answered. */
  end(requestUid: string): void {
    const startedMs = this.#startedMs.get(requestUid);
    this.#startedMs.delete(requestUid);
    if (startedMs !== undefined) this.tell(this.nowMs() - startedMs);
  }
}

function isMark(key: string): boolean {
  return key.startsWith(PEPR_MARK_PREFIX);
}

function withoutMarkedKeys(annotations: object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(annotations).filter(([key]) => !isMark(key)));
}

/** Of an object without metadata, Pepr's marks are all the metadata. */
function metadataWithoutMarks(operation: PatchOperation): readonly PatchOperation[] {
  const { annotations, ...others } = operation.value as { annotations?: object };
  const left = withoutMarkedKeys(annotations ?? {});
  const value = Object.keys(left).length === 0 ? others : { ...others, annotations: left };
  return Object.keys(value).length === 0 ? [] : [{ ...operation, value }];
}

/** An operation without Pepr's marks; nothing where nothing is left of it. */
function withoutMarks(operation: PatchOperation): readonly PatchOperation[] {
  const { op, path, value } = operation;
  if (path === METADATA_PATH && op !== "remove") return metadataWithoutMarks(operation);
  if (path.startsWith(`${ANNOTATIONS_PATH}/`)) {
    const key = path
      .slice(ANNOTATIONS_PATH.length + 1)
      .replaceAll("~1", "/")
      .replaceAll("~0", "~");
    return isMark(key) ? [] : [operation];
  }
  if (path !== ANNOTATIONS_PATH || op === "remove") return [operation];
  const left = withoutMarkedKeys(value as object);
  if (Object.keys(left).length === Object.keys(value as object).length) return [operation];
  return Object.keys(left).length === 0 ? [] : [{ op, path, value: left }];
}

function mendPatch(response: AdmissionResponse): void {
  if (response.patch === undefined) return;
  const text = Buffer.from(response.patch, "base64").toString("utf8");
  const operations = (JSON.parse(text) as PatchOperation[]).flatMap(withoutMarks);
  if (operations.length === 0) {
    delete response.patch;
    delete response.patchType;
    return;
  }
  response.patch = Buffer.from(JSON.stringify(operations), "utf8").toString("base64");
}

/** @returns Whether it was the capability's own word, and not a fault of it. */
function mendDenial(response: AdmissionResponse): boolean {
  const [failure = ""] = response.warnings?.slice(-1) ?? [];
  const said = failure.startsWith(PEPR_FAILURE) ? failure.slice(PEPR_FAILURE.length) : failure;
  const sentence = said === "" ? "the request could not be decided; see the log." : said;
  const isMeant = sentence.startsWith(OWN_NAME);
  response.status = {
    code: 403,
    reason: "Forbidden",
    message: isMeant ? sentence : OWN_NAME + sentence,
  };
  delete response.result;
  // Pepr warns of what the status says already.
  delete response.warnings;
  return isMeant;
}

/**
 * Mends Pepr's answer in place, as PeprModule's `afterHook`. A denial gets the sentence that the capability threw, where
 * clients look for it; of a patch Pepr's own annotations go, and with them a patch that holds nothing else; warnings
 * for an allowed object are added.
 * @param notes What the capabilities noted about the request; taken out.
 * @returns failed: denied since the capability could not decide.
 */
export function mendResponse(
  response: AdmissionResponse,
  notes: AdmissionNotes,
): "allowed" | "denied" | "failed" {
  const warnings = notes.take(response.uid);
  if (response.result !== undefined || !response.allowed) {
    return mendDenial(response) ? "denied" : "failed";
  }
  mendPatch(response);
  if (warnings.length > 0) response.warnings = [...(response.warnings ?? []), ...warnings];
  return "allowed";
}
