import {
  describeError,
  isForbidden,
  type AccessQuestion,
  type CacheContext,
  type KubernetesClient,
} from "../../lib/cluster";
import type { AnyPolicy } from "./observed";

const group = "admissionregistration.k8s.io";

/** What it takes; to make a policy with parameters is to read all that may be some. */
const questions: readonly AccessQuestion[] = [
  { verb: "list", group, resource: "validatingadmissionpolicies" },
  { verb: "create", group, resource: "mutatingadmissionpolicies" },
  { verb: "get", group: "", resource: "configmaps" },
  { verb: "list", group: "", resource: "configmaps" },
];

async function firstRefused(client: KubernetesClient): Promise<string | undefined> {
  for (const question of questions) {
    if (await client.mayI(question)) continue;
    return `It may not ${question.verb} ${question.resource} in the whole cluster.`;
  }
  return undefined;
}

/**
 * Which right to work with policies is missing: a sentence; undefined where none is. In the restricted mode, where they
 * are not given by default, it is asked for; else it is tried, since the answer is yes.
 */
export async function missingRight({ client, scope }: CacheContext): Promise<string | undefined> {
  if (scope !== undefined) return firstRefused(client);
  try {
    await client.list<AnyPolicy>({
      apiVersion: `${group}/v1`,
      kind: "ValidatingAdmissionPolicyBinding",
      metadataOnly: true,
    });
    return undefined;
  } catch (error) {
    if (isForbidden(error)) return `The API server says: ${describeError(error)}`;
    throw error;
  }
}
