import { parseArgs } from "node:util";

/** What `npm start` was asked for. */
export interface StartOptions {
  readonly kind: "run";
  /** True: end after the story instead of staying for the user. */
  readonly once: boolean;
  /** True: the last line of standard output is the figures as JSON, and the story goes to standard error. */
  readonly json: boolean;
  /** Kubernetes version of the embedded cluster; undefined: its default. */
  readonly version: string | undefined;
  /** Path of an existing cluster's kubeconfig; undefined: the embedded cluster. */
  readonly kubeconfig: string | undefined;
  /** "run" where this machine can: istiod, a gateway and hosted API servers beside the embedded cluster. */
  readonly dataPlane: "run" | "leave-out";
  /** Where the picture goes; undefined: into a new temporary directory. */
  readonly picture: string | undefined;
  /** Name or address by which the API server reaches this machine; undefined: 127.0.0.1. */
  readonly webhookHost: string | undefined;
}

/** The arguments of `npm start`, parsed. */
export type StartArguments =
  | StartOptions
  | { readonly kind: "help" }
  | { readonly kind: "invalid"; readonly message: string };

/** Shown by `npm start -- --help`. */
export const usage = `npm start -- [options]

Runs fairlead against a real Kubernetes API server and shows what it does. Without options: on a cluster of its own
on this machine (etcd, kube-apiserver, istiod, an Istio gateway, and two tenants with three kube-apiservers each), until
Ctrl-C.

  --once                 end after the story, with exit code 0 or 1
  --json                 one JSON line with the figures as the last line of standard output
  --picture <path>       where to write the picture, instead of a temporary directory: .html, or .svg for a part of it
  --no-data-plane        without Istio and hosted API servers: then nothing is balanced, and the rest is told
  --version 1.33.13      another Kubernetes version
  --kubeconfig <path>    an existing cluster instead; what is made there is removed at the end
  --webhook-host <host>  how that cluster's API server reaches this machine (k3d: host.k3d.internal)
  --help                 this text
`;

/** Parses the arguments of `npm start`. Throws nothing: what is wrong is in the answer. */
export function parseStartArguments(args: readonly string[]): StartArguments {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        once: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        version: { type: "string" },
        picture: { type: "string" },
        "no-data-plane": { type: "boolean", default: false },
        kubeconfig: { type: "string" },
        "webhook-host": { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) return { kind: "help" };
    return checkCombination({
      kind: "run",
      once: values.once,
      json: values.json,
      version: values.version,
      kubeconfig: values.kubeconfig,
      dataPlane: values["no-data-plane"] ? "leave-out" : "run",
      picture: values.picture,
      webhookHost: values["webhook-host"],
    });
  } catch (error) {
    return { kind: "invalid", message: error instanceof Error ? error.message : String(error) };
  }
}

function checkCombination(options: StartOptions): StartArguments {
  const { version, kubeconfig, webhookHost } = options;
  if (kubeconfig !== undefined && version !== undefined) {
    return {
      kind: "invalid",
      message: "--version is of the embedded cluster: leave it out, or --kubeconfig.",
    };
  }
  if (kubeconfig === undefined && webhookHost !== undefined) {
    return {
      kind: "invalid",
      message: "--webhook-host goes with --kubeconfig: the embedded cluster is on this machine.",
    };
  }
  return options;
}
