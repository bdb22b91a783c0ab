/** The parts of a Pod that a kubelet acts on, as the API server admitted it. */
export interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
    readonly deletionGracePeriodSeconds?: number;
  };
  readonly spec: PodSpec;
}

/** What is to run. */
export interface PodSpec {
  readonly nodeName?: string;
  readonly serviceAccountName?: string;
  readonly terminationGracePeriodSeconds?: number;
  readonly hostAliases?: readonly { readonly ip: string; readonly hostnames?: readonly string[] }[];
  readonly securityContext?: {
    readonly runAsUser?: number;
    readonly fsGroup?: number;
  };
  readonly containers: readonly ContainerSpec[];
  readonly volumes?: readonly Volume[];
}

/** A container of a Pod. */
export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly workingDir?: string;
  readonly env?: readonly EnvironmentVariable[];
  readonly envFrom?: readonly EnvironmentSource[];
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly securityContext?: {
    readonly runAsUser?: number;
    readonly readOnlyRootFilesystem?: boolean;
  };
  readonly lifecycle?: {
    readonly preStop?: { readonly sleep?: { readonly seconds: number } };
  };
  readonly startupProbe?: ProbeSpec;
  readonly readinessProbe?: ProbeSpec;
  readonly livenessProbe?: ProbeSpec;
}

/** A key of an object that may be absent. */
interface KeyRef {
  readonly name: string;
  readonly key: string;
  readonly optional?: boolean;
}

/** An entry of `env`. */
export interface EnvironmentVariable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string };
    readonly configMapKeyRef?: KeyRef;
    readonly secretKeyRef?: KeyRef;
  };
}

interface ObjectRef {
  readonly name: string;
  readonly optional?: boolean;
}

/** An entry of `envFrom`. */
export interface EnvironmentSource {
  readonly prefix?: string;
  readonly configMapRef?: ObjectRef;
  readonly secretRef?: ObjectRef;
}

/** A probe by HTTP, the only kind that is played. */
export interface ProbeSpec {
  readonly httpGet?: {
    readonly path?: string;
    readonly port: number | string;
    readonly scheme?: "HTTP" | "HTTPS";
  };
  readonly initialDelaySeconds?: number;
  readonly periodSeconds?: number;
  readonly timeoutSeconds?: number;
  readonly successThreshold?: number;
  readonly failureThreshold?: number;
}

/** Which key of an object becomes which file. */
export interface KeyToPath {
  readonly key: string;
  readonly path: string;
  readonly mode?: number;
}

/** A source of a projected volume. */
export interface ProjectedSource {
  readonly configMap?: ObjectRef & { readonly items?: readonly KeyToPath[] };
  readonly secret?: ObjectRef & { readonly items?: readonly KeyToPath[] };
  readonly serviceAccountToken?: {
    readonly path: string;
    readonly audience?: string;
    readonly expirationSeconds?: number;
  };
  readonly downwardAPI?: {
    readonly items?: readonly {
      readonly path: string;
      readonly fieldRef?: { readonly fieldPath: string };
    }[];
  };
}

/** A volume of the kinds that are played. */
export interface Volume {
  readonly name: string;
  readonly configMap?: ObjectRef & {
    readonly items?: readonly KeyToPath[];
    readonly defaultMode?: number;
  };
  readonly secret?: {
    readonly secretName: string;
    readonly optional?: boolean;
    readonly items?: readonly KeyToPath[];
    readonly defaultMode?: number;
  };
  readonly projected?: {
    readonly sources: readonly ProjectedSource[];
    readonly defaultMode?: number;
  };
  readonly emptyDir?: object;
}

/** A ConfigMap or a Secret. */
export interface DataObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly resourceVersion: string;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly binaryData?: Readonly<Record<string, string>>;
}

/** What a Pod's environment and volumes are made of. */
export interface PodSources {
  configMap(name: string): DataObject | undefined;
  secret(name: string): DataObject | undefined;
  /** By audience; "" for the API server's own. */
  token(audience: string): string | undefined;
}

/** Something that a Pod waits for, as a kubelet would say it. */
export class MissingSourceError extends Error {
  override readonly name = "MissingSourceError";
}

/** The value of a field by its path, of those that the downward API has and somebody uses. */
export function fieldOf(pod: Pod, path: string, podIP: string): string {
  const { metadata, spec } = pod;
  const fields: Readonly<Record<string, string | undefined>> = {
    "metadata.name": metadata.name,
    "metadata.namespace": metadata.namespace,
    "metadata.uid": metadata.uid,
    "spec.nodeName": spec.nodeName,
    "spec.serviceAccountName": spec.serviceAccountName,
    "status.podIP": podIP,
  };
  const value = fields[path];
  if (value === undefined) throw new MissingSourceError(`field ${path} is not played`);
  return value;
}
