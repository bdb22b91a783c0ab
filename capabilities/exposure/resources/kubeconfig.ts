import { equals } from "ramda";
import {
  Composer,
  CST,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Parser,
  visit,
  type Document,
  type Pair,
  type Scalar,
  type YAMLMap,
} from "yaml";
import type { HostedAPIServer, InternalGateway, KubernetesObject } from "../../../lib/api";
import { parseCertificates, type Certificate } from "../../../lib/domain/certificates";
import { findTrustProblem } from "../../../lib/domain/trust";
import { serviceOf } from "./exposure";

/** Where a kubeconfig is to lead, and what its users will meet there. */
export interface KubeconfigTarget {
  /** `https://host` or `https://host:port`. */
  readonly server: string;
  /** The certificates that are served there, the leaf first; empty as long as that was not seen. */
  readonly servedChain: readonly Certificate[];
  readonly nowMs: number;
}

/** Why a kubeconfig is left as it is. */
export type KubeconfigKeepReason =
  | "UpToDate"
  | "Malformed"
  | "NotAKubeconfig"
  | "NoCurrentContext"
  | "UnknownContext"
  | "UnknownCluster"
  | "Ambiguous"
  | "Aliases"
  | "NoServer"
  | "ServerHasPath"
  | "TLSServerName"
  | "ProxyURL"
  | "CertificateAuthorityFile"
  | "NotServedYet"
  | "NotTrusted";

/** A kubeconfig, changed or left alone. */
export type PointedKubeconfig =
  | { readonly kind: "change"; readonly text: string }
  | {
      readonly kind: "keep";
      readonly reason: KubeconfigKeepReason;
      /** The end of a sentence that begins with the kubeconfig; it quotes no credentials. */
      readonly message: string;
    };

type Keep = Extract<PointedKubeconfig, { kind: "keep" }>;
type Found<T> = { readonly kind: "found"; readonly value: T } | Keep;

const MAX_DEPTH = 64;

const keep = (reason: KubeconfigKeepReason, message: string): Keep => ({
  kind: "keep",
  reason,
  message,
});
const found = <T>(value: T): Found<T> => ({ kind: "found", value });

/**
 * The server of kubeconfigs: the gateway by the first host in L7, the Service itself in L4, where no gateway is needed;
 * the port unless it is 443.
 */
export function kubeconfigServerOf(
  server: HostedAPIServer,
  gateway: InternalGateway | undefined,
  mode: "L7" | "L4",
): string {
  const { metadata, spec } = server;
  const { name, port } = serviceOf(server);
  const [host, number] =
    mode === "L7"
      ? [spec.hosts[0] ?? "", gateway?.spec.port?.service ?? 443]
      : [`${name}.${metadata.namespace ?? ""}.svc`, port];
  return number === 443 ? `https://${host}` : `https://${host}:${number}`;
}

interface Parsed {
  readonly tokens: readonly CST.Token[];
  readonly document: Document.Parsed;
  readonly root: YAMLMap;
}

/** Whether a map has a key twice. The parser's own check takes a time that grows with the square of the keys. */
function hasRepeatedKeys(document: Document.Parsed): boolean {
  let repeated = false;
  visit(document, {
    Map: (_key, { items }) => {
      const keys = items.map(({ key }) => (isScalar(key) ? key.value : key));
      if (new Set(keys).size === keys.length) return undefined;
      repeated = true;
      return visit.BREAK;
    },
  });
  return repeated;
}

function hasAliases(document: Document.Parsed): boolean {
  let found = false;
  visit(document, {
    Alias: () => {
      found = true;
      return visit.BREAK;
    },
  });
  return found;
}

function childrenOf(token: CST.Token): readonly CST.Token[] {
  if ("items" in token)
    return token.items.flatMap(({ key, value }) => [key ?? [], value ?? []].flat());
  return token.type === "document" && token.value !== undefined ? [token.value] : [];
}

/** Whether a text is nested more deeply than any kubeconfig: composing is recursive, and its stack ends the process. */
function isTooDeep(tokens: readonly CST.Token[]): boolean {
  let level = tokens;
  for (let depth = 0; depth <= MAX_DEPTH; depth += 1) level = level.flatMap(childrenOf);
  return level.length > 0;
}

/** Composes one document; undefined where the text is none. */
function compose(tokens: readonly CST.Token[]): Document.Parsed | undefined {
  if (isTooDeep(tokens)) return undefined;
  // Composing takes tokens apart no further, so that what is not changed is written back byte by byte.
  const composer = new Composer({ keepSourceTokens: true, strict: true, uniqueKeys: false });
  const documents = [...composer.compose(tokens)];
  const [document] = documents;
  if (document === undefined || documents.length !== 1) return undefined;
  return document.errors.length > 0 || hasRepeatedKeys(document) ? undefined : document;
}

/** A kubeconfig with dozens of clusters has less; parsing a Secret's 1 MiB would take seconds. */
const MAX_CHARACTERS = 131_072;

function parse(text: string): Found<Parsed> {
  if (text.length > MAX_CHARACTERS) {
    return keep("Malformed", `is longer than ${MAX_CHARACTERS} characters.`);
  }
  const tokens = [...new Parser().parse(text)];
  const document = compose(tokens);
  if (document === undefined) return keep("Malformed", "is not one well-formed YAML document.");
  if (hasAliases(document)) {
    return keep(
      "Aliases",
      "uses YAML aliases, so that a change could concern more than one place.",
    );
  }
  const root: unknown = document.contents;
  if (!isMap(root) || root.get("kind") !== "Config" || !isSeq(root.get("clusters"))) {
    return keep("NotAKubeconfig", "is not of kind Config, or has no clusters.");
  }
  return found({ tokens, document, root });
}

/** The entry of a list of named things; kubeconfigs have lists where they mean maps. */
function findNamed(root: YAMLMap, list: string, name: string): Found<YAMLMap> | "absent" {
  const entries = root.get(list);
  const named = (isSeq(entries) ? entries.items : []).filter(
    (entry): entry is YAMLMap => isMap(entry) && entry.get("name") === name,
  );
  const [entry] = named;
  // Not by its name: what a Secret holds is quoted nowhere.
  if (named.length > 1) return keep("Ambiguous", `has more than one entry of a name in ${list}.`);
  return entry === undefined ? "absent" : found(entry);
}

function findCluster(root: YAMLMap): Found<YAMLMap> {
  const contextName = root.get("current-context");
  if (typeof contextName !== "string" || contextName === "") {
    return keep("NoCurrentContext", "has no current-context.");
  }
  const entry = findNamed(root, "contexts", contextName);
  if (entry === "absent") return keep("UnknownContext", "has a current-context without a context.");
  if (entry.kind === "keep") return entry;
  const context = entry.value.get("context");
  const clusterName = isMap(context) ? context.get("cluster") : undefined;
  const cluster =
    typeof clusterName === "string" ? findNamed(root, "clusters", clusterName) : "absent";
  if (cluster === "absent") return keep("UnknownCluster", "has a context without a cluster.");
  if (cluster.kind === "keep") return cluster;
  const value = cluster.value.get("cluster");
  return isMap(value) ? found(value) : keep("UnknownCluster", "has a cluster without content.");
}

function sameURL(a: string, b: string): boolean {
  return URL.canParse(a) && URL.canParse(b) && new URL(a).href === new URL(b).href;
}

function findServer(cluster: YAMLMap): Found<Scalar<string>> {
  const pair = cluster.items.find(
    (item): item is Pair<Scalar, Scalar<string>> =>
      isScalar(item.key) && item.key.value === "server",
  );
  const node = pair?.value;
  if (!isScalar(node) || isAlias(node) || typeof node.value !== "string" || node.value === "") {
    return keep("NoServer", "has a cluster without a server.");
  }
  return found(node);
}

/** What a client would check the served certificate by, and whether it would be content. */
function findTrustObstacle(cluster: YAMLMap, target: KubeconfigTarget): Keep | undefined {
  if (cluster.get("insecure-skip-tls-verify") === true) return undefined;
  if (typeof cluster.get("certificate-authority") === "string") {
    return keep(
      "CertificateAuthorityFile",
      "names its CA by a file, which can't be seen from here; use certificate-authority-data.",
    );
  }
  const data = cluster.get("certificate-authority-data");
  if (target.servedChain.length === 0) {
    return keep("NotServedYet", "is to lead to a certificate that was not seen yet.");
  }
  const encoded = typeof data === "string" ? data : "";
  const bundle = parseCertificates(Buffer.from(encoded, "base64").toString("utf8"));
  const problem =
    bundle.kind === "malformed"
      ? `its certificate-authority-data ${bundle.message}`
      : findTrustProblem({
          chain: target.servedChain,
          authorities: bundle.certificates,
          host: new URL(target.server).hostname,
          nowMs: target.nowMs,
        });
  return problem === undefined
    ? undefined
    : keep("NotTrusted", `would not trust what is served at ${target.server}: ${problem}.`);
}

function findObstacle(
  cluster: YAMLMap,
  current: string,
  target: KubeconfigTarget,
): Keep | undefined {
  if (sameURL(current, target.server)) {
    return keep("UpToDate", "leads there already.");
  }
  if (!URL.canParse(current) || !["/", ""].includes(new URL(current).pathname)) {
    return keep("ServerHasPath", "has a server that is more than a host and a port.");
  }
  if (cluster.has("tls-server-name")) {
    return keep("TLSServerName", "sets tls-server-name, which is sent instead of the host.");
  }
  if (cluster.has("proxy-url")) {
    return keep("ProxyURL", "sets proxy-url, so that its connections go elsewhere first.");
  }
  return findTrustObstacle(cluster, target);
}

function withServer({ tokens, document }: Parsed, node: Scalar<string>, server: string): string {
  const token = node.srcToken;
  if (token === undefined || !CST.isScalar(token)) throw new Error("a parsed scalar has its token");
  // A block scalar would keep its header, and its line break would be part of the value.
  CST.setScalarValue(token, server, token.type === "block-scalar" ? { type: "PLAIN" } : {});
  const text = tokens.map((part) => CST.stringify(part)).join("");
  node.value = server;
  const written = parse(text);
  const isAlone =
    written.kind === "found" && equals(written.value.document.toJS(), document.toJS());
  if (!isAlone) throw new Error("the server of a kubeconfig could not be replaced alone");
  return text;
}

/**
 * Points a kubeconfig elsewhere: the server of the current context's cluster, and not a byte besides; comments, order and
 * style stay. Whatever makes that unsafe or without effect leaves it alone.
 * @param text The kubeconfig, YAML or JSON.
 */
export function pointKubeconfig(text: string, target: KubeconfigTarget): PointedKubeconfig {
  const parsed = parse(text);
  if (parsed.kind === "keep") return parsed;
  const cluster = findCluster(parsed.value.root);
  if (cluster.kind === "keep") return cluster;
  const server = findServer(cluster.value);
  if (server.kind === "keep") return server;
  const obstacle = findObstacle(cluster.value, server.value.value, target);
  if (obstacle !== undefined) return obstacle;
  return { kind: "change", text: withServer(parsed.value, server.value, target.server) };
}

/** A Secret, as it is on the wire: its values are base64. */
export interface KubeconfigSecret extends KubernetesObject {
  readonly immutable?: boolean;
  readonly data?: Readonly<Record<string, string>> | null;
}

/** Why a Secret of kubeconfigs is left as it is. */
export type KubeconfigSecretKeepReason =
  | "Missing"
  | "Immutable"
  | "NoKubeconfig"
  | Exclude<KubeconfigKeepReason, NoKubeconfigReason>;

/** Of what else is in such a Secret: a token or a certificate is no YAML map, or none at all. */
type NoKubeconfigReason = "NotAKubeconfig" | "Malformed";

/** What to do with a Secret of kubeconfigs. */
export type KubeconfigSecretDecision =
  | {
      readonly kind: "change";
      /** The keys to write, base64; the others stay. */
      readonly data: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: "keep";
      readonly reason: KubeconfigSecretKeepReason;
      readonly message: string;
    };

const keepSecret = (
  reason: KubeconfigSecretKeepReason,
  message: string,
): KubeconfigSecretDecision => ({ kind: "keep", reason, message });

/**
 * Decides about a Secret: every key that holds a kubeconfig is pointed, or none if one of them can't be.
 * @param secret Undefined where it does not exist.
 */
export function decideKubeconfigSecret(
  secret: KubeconfigSecret | undefined,
  target: KubeconfigTarget,
): KubeconfigSecretDecision {
  if (secret === undefined) return keepSecret("Missing", "The Secret does not exist.");
  const changes = new Map<string, string>();
  let isThere = false;
  for (const [key, value] of Object.entries(secret.data ?? {})) {
    const pointed = pointKubeconfig(Buffer.from(value, "base64").toString("utf8"), target);
    if (pointed.kind === "change") {
      changes.set(key, Buffer.from(pointed.text).toString("base64"));
      continue;
    }
    const { reason, message } = pointed;
    if (reason === "NotAKubeconfig" || reason === "Malformed") continue;
    if (reason !== "UpToDate") return keepSecret(reason, `Key ${key} ${message}`);
    isThere = true;
  }
  if (changes.size > 0) {
    return secret.immutable === true
      ? keepSecret("Immutable", "The Secret is immutable.")
      : { kind: "change", data: Object.fromEntries(changes) };
  }
  return isThere
    ? keepSecret("UpToDate", "All kubeconfigs lead there already.")
    : keepSecret("NoKubeconfig", "No key holds a kubeconfig.");
}
