import { createPrivateKey, X509Certificate } from "node:crypto";
import type { AnyObject } from "../api";
import { decode } from "../objects";
import { findIn, ownOf, placeOf, sourceOf, type Hosted } from "./hosted";

// Values are compared here, and never part of a sentence.

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Whether two bundles hold the same CAs, in whatever order. */
function isSameBundle(one: string | undefined, other: string | undefined): boolean {
  const blocksOf = (pem = "") => [...new Set(pem.match(BLOCK) ?? [])].sort().join();
  return blocksOf(one) === blocksOf(other);
}

function isPair(certificatePem: string, privateKeyPem: string): boolean {
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(privateKeyPem));
  } catch {
    return false;
  }
}

function isSignedBy(certificatePem: string, issuerPem: string): boolean {
  try {
    const certificate = new X509Certificate(certificatePem);
    return certificate.verify(new X509Certificate(issuerPem).publicKey);
  } catch {
    return false;
  }
}

function serverFaults(hosted: Hosted, copy: AnyObject): readonly string[] {
  const { server, clientCA } = hosted.spec.certificates;
  const source = sourceOf(hosted, server);
  const wanted: Readonly<Record<string, string | undefined>> = {
    cert: source["tls.crt"],
    key: source["tls.key"],
    ...(clientCA === undefined ? {} : { cacert: sourceOf(hosted, clientCA)["ca.crt"] }),
  };
  const has = decode(copy);
  const isSame = (key: string): boolean =>
    key === "cacert" ? isSameBundle(wanted[key], has[key]) : wanted[key] === has[key];
  return [...new Set([...Object.keys(wanted), ...Object.keys(has)])]
    .filter((key) => !isSame(key))
    .map((key) => `${key} is not what the source holds`);
}

function proxyClientFaults(hosted: Hosted, copy: AnyObject): readonly string[] {
  const { serverCA, proxyClient } = hosted.spec.certificates;
  const { cert = "", key = "", cacert, ...more } = decode(copy);
  const issuer =
    proxyClient?.issuer === undefined ? "" : (sourceOf(hosted, proxyClient.issuer)["ca.crt"] ?? "");
  const rules: readonly (readonly [boolean, string])[] = [
    [
      isSameBundle(cacert, sourceOf(hosted, serverCA)["ca.crt"]),
      "cacert is not what the source holds",
    ],
    [Object.keys(more).length === 0, "has more keys than it should"],
    [proxyClient === undefined || isPair(cert, key), "the key is another certificate's"],
    [proxyClient?.issuer === undefined || isSignedBy(cert, issuer), "another CA has issued it"],
    [copy.immutable === true, "is not immutable"],
  ];
  return rules.flatMap(([holds, fault]) => (holds ? [] : [fault]));
}

function commonFaults(hosted: Hosted, copy: AnyObject): readonly string[] {
  const { annotations = {}, ownerReferences = [] } = copy.metadata;
  const owner = findIn(hosted.cluster, "Namespace", `/${hosted.namespace}`);
  const isOwned = ownerReferences.some(({ uid }) => uid === owner?.metadata.uid);
  return [
    ...(isOwned ? [] : ["has another owner than its Namespace"]),
    ...("fairlead.dev/superseded-at" in annotations ? ["is in use, and marked as superseded"] : []),
  ];
}

/** What is not as it should be of the Secrets in the gateway's namespace; there are two, and no third. */
export function credentialFaults(hosted: Hosted): readonly string[] {
  const { namespace, name, gatewayNamespace } = hosted;
  const { server, proxyClient } = hosted.credentials;
  const wanted = [server, proxyClient].map((each) => `${gatewayNamespace}/${each}`);
  const there = ownOf(hosted, "Secret").map(placeOf);
  if ([...there].sort().join() !== [...wanted].sort().join()) {
    return [`has the Secrets [${there.join()}], and status says [${wanted.join()}]`];
  }
  const copies = [
    { copy: wanted[0] ?? "", prefix: `${namespace}-${name}-tls-`, look: serverFaults },
    { copy: wanted[1] ?? "", prefix: `${namespace}-${name}-istio-mtls-`, look: proxyClientFaults },
  ];
  return copies.flatMap(({ copy: place, prefix, look }) => {
    const copy = findIn(hosted.cluster, "Secret", place);
    if (copy === undefined) return [`${place} does not exist`];
    const misnamed = (copy.metadata.name ?? "").startsWith(prefix) ? [] : ["is no name of its"];
    const faults = [...misnamed, ...commonFaults(hosted, copy), ...look(hosted, copy)];
    return faults.map((fault) => `${place}: ${fault}`);
  });
}
