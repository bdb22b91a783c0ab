import type { KubernetesObject } from "../../lib/api";
import {
  describeError,
  describeRefusal,
  isNotFound,
  refOf,
  type AdmissionMode,
  type CacheContext,
  type EventRecorder,
} from "../../lib/cluster";
import { describeAdmission, type Admission } from "../../lib/domain/admission";
import { ANNOTATION_ADMISSION, FIELD_MANAGERS } from "../../lib/domain/names";
import type { AdmissionSetting } from "../../lib/domain/settings";
import { WEBHOOK_CONFIGURATION } from "../../lib/domain/webhook";

/** Whom it is told to. */
export interface TellerContext extends Pick<CacheContext, "client" | "log" | "metrics"> {
  readonly setting: AdmissionSetting;
  readonly mode: AdmissionMode;
  readonly events: EventRecorder;
  /** fairlead's MutatingWebhookConfiguration, as it was last heard of. */
  readonly configuration: () => KubernetesObject | undefined;
}

/** What every installation does where nobody has asked for anything else. */
function isPlain({ by, reason }: Admission, setting: AdmissionSetting): boolean {
  if (by === "policies") return false;
  if (reason === "NotServed" || reason === "RightsMissing") return setting === "Auto";
  return reason === "AsSet" || reason === "NotInstalled";
}

/** Tells by what Pods and Services are admitted: who acts by it first, and then where people look. */
export class AdmissionTeller {
  /** The annotation that was written, and over which version: until that is heard of, it is not written again. */
  #annotated: { readonly text: string | undefined; readonly over: string } | undefined;

  constructor(private readonly context: TellerContext) {}

  /** @throws Error where the API server can't be reached; what acts by it has heard of it by then. */
  async tell(admission: Admission): Promise<void> {
    const { mode, metrics } = this.context;
    const before = mode.current;
    mode.decide(admission);
    metrics?.admittedBy(admission);
    const isNews = before?.by !== admission.by || before.reason !== admission.reason;
    if (isNews) this.#log(admission);
    // Over a restart it is no news.
    const isSaid = before === undefined && this.#annotation() === describeAdmission(admission);
    await this.#annotate(admission);
    if (isNews && !isSaid) this.#writeEvent(admission, before);
  }

  #isBad(admission: Admission): boolean {
    if (admission.by === "policies" || admission.reason === "Preparing") return false;
    return !isPlain(admission, this.context.setting);
  }

  #log(admission: Admission): void {
    const about = { capability: "policies", key: `/${WEBHOOK_CONFIGURATION}`, action: "admit" };
    const level = this.#isBad(admission) ? "warn" : "info";
    this.context.log[level]({ ...about, ...admission }, "Pods and Services are admitted by");
  }

  #writeEvent(admission: Admission, before: Admission | undefined): void {
    const { events, setting, configuration } = this.context;
    const about = configuration();
    if (about === undefined || admission.reason === "Preparing") return;
    if (isPlain(admission, setting) && before === undefined) return;
    events.event(about, {
      type: this.#isBad(admission) ? "Warning" : "Normal",
      reason: admission.by === "policies" ? "AdmittedByPolicies" : "AdmittedByWebhook",
      message: describeAdmission(admission),
    });
  }

  #annotation(): string | undefined {
    return this.context.configuration()?.metadata.annotations?.[ANNOTATION_ADMISSION];
  }

  /** What goes without saying is not said. */
  async #annotate(admission: Admission): Promise<void> {
    const { client, log, setting, configuration } = this.context;
    const about = configuration();
    if (about === undefined) return;
    const { resourceVersion: over = "" } = about.metadata;
    const current = this.#annotation();
    const text = isPlain(admission, setting) ? undefined : describeAdmission(admission);
    if (current === text || (admission.reason === "Preparing" && current === undefined)) return;
    const written = this.#annotated;
    if (written !== undefined && written.text === text && written.over === over) return;
    this.#annotated = { text, over };
    const patch = { metadata: { annotations: { [ANNOTATION_ADMISSION]: text ?? null } } };
    const fieldManager = FIELD_MANAGERS.policies;
    try {
      await client.patch(refOf(about), patch, { type: "merge", fieldManager });
    } catch (error) {
      this.#annotated = undefined;
      if (describeRefusal(error) === undefined && !isNotFound(error)) throw error;
      log.debug({ error: describeError(error) }, "the annotation is not written");
    }
  }
}
