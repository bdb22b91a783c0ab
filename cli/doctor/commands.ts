import { SYSTEM_NAMESPACE } from "../../lib/domain/webhook";

/** Which object a command is about. */
export interface Target {
  /** As kubectl knows it: `hostedapiserver`. */
  readonly resource: string;
  readonly namespace?: string | undefined;
  readonly name: string;
}

const SAFE = /^[-A-Za-z0-9_./:=@%+,]+$/;

/** An argument as a POSIX shell takes it. */
export function quoted(argument: string): string {
  return SAFE.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}

/** A kubectl command. */
export function kubectl(...args: readonly string[]): string {
  return ["kubectl", ...args.map(quoted)].join(" ");
}

const inNamespace = ({ namespace }: Target): readonly string[] =>
  namespace === undefined ? [] : ["-n", namespace];

/** Changes an object by a JSON merge patch (RFC 7386). */
export function mergePatch(target: Target, patch: object): string {
  const { resource, name } = target;
  const text = JSON.stringify(patch);
  return kubectl("patch", resource, name, ...inNamespace(target), "--type=merge", "-p", text);
}

/** Changes an object by a JSON patch (RFC 6902). */
export function jsonPatch(target: Target, ...operations: readonly object[]): string {
  const { resource, name } = target;
  const text = JSON.stringify(operations);
  return kubectl("patch", resource, name, ...inNamespace(target), "--type=json", "-p", text);
}

/** Opens an object in an editor. */
export function edit(target: Target): string {
  return kubectl("edit", target.resource, target.name, ...inNamespace(target));
}

/** Shows an object and its Events. */
export function describe(target: Target): string {
  return kubectl("describe", target.resource, target.name, ...inNamespace(target));
}

/** Deletes an object. */
export function remove(target: Target): string {
  return kubectl("delete", target.resource, target.name, ...inNamespace(target));
}

/** Removes an annotation of an object. */
export function unannotate(target: Target, annotation: string): string {
  const { resource, name } = target;
  return kubectl("annotate", resource, name, ...inNamespace(target), `${annotation}-`);
}

/** Installs what is missing of fairlead; what is there stays. */
export const APPLY_MANIFEST = kubectl("apply", "-f", "dist/fairlead.yaml");

/** Starts the watch process, which keeps the webhook and everybody's objects in line, anew. */
export const RESTART_WATCHER = kubectl(
  ...["-n", SYSTEM_NAMESPACE, "rollout", "restart", "deployment/pepr-fairlead-watcher"],
);

/** What the watch process says. */
export const WATCHER_LOGS = kubectl(
  ...["-n", SYSTEM_NAMESPACE, "logs", "deployment/pepr-fairlead-watcher", "--tail=50"],
);

/** Gives the watch process one of fairlead's roles in a namespace. */
export function bindRole(role: string, namespace: string): string {
  return kubectl(
    ...["create", "rolebinding", role, `--namespace=${namespace}`, `--clusterrole=${role}`],
    "--serviceaccount=pepr-system:fairlead-watch",
  );
}

/** Lists another namespace in the restricted mode; the values are the installation's own. */
export const LIST_NAMESPACE =
  "helm upgrade fairlead dist/fairlead-<version>.tgz --namespace default --values <values.yaml>";
