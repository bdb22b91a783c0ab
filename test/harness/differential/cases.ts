import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { foldersIn, type Given } from "../../cases/runner";
import type { AnyObject } from "../api";
import { templateName, type Place, type Requester } from "./places";

// Declarative cases, each in a place of its own: namespaces and addresses are renamed so that they stand beside each
// other, to names of the same length, since the length decides about the label.

const casesFolder = resolve(__dirname, "../../cases");
const ADDRESS_IN_CASES = /\b10\.96\.3\./g;
const IPV6_IN_CASES = /::307\b/g;
const FIRST_FREE_OCTET = 4;
const FIRST_FREE_GROUP = 0x1000;

/** A case about an object that is created or updated. */
export interface AdmissionCase extends Place {
  readonly name: string;
  readonly world: Given["world"];
}

interface Read {
  readonly name: string;
  readonly given: string;
  readonly when: string;
}

function readAll(capability: string): readonly Read[] {
  const folder = join(casesFolder, capability);
  const read = (name: string, file: string) => readFileSync(join(folder, name, file), "utf8");
  return foldersIn(folder).map((name) => ({
    name,
    given: read(name, "given.yaml"),
    when: read(name, "when.yaml"),
  }));
}

function renamed(text: string, place: number): string {
  return text
    .replaceAll(/\bshoot--dev--([ab])\b|\bshoot--([ab])\b|\b(?:shop|elsewhere)\b/g, (found) =>
      templateName(place, found.slice(-1)),
    )
    .replaceAll(/\bistio-ingress(?!gateway)/g, `istio-i${String(place).padStart(6, "0")}`)
    .replaceAll(ADDRESS_IN_CASES, `10.96.${FIRST_FREE_OCTET + place}.`)
    .replaceAll(IPV6_IN_CASES, `::${(FIRST_FREE_GROUP + place).toString(16)}`);
}

/** What an API server asks of a Service beyond what a case says. */
function acceptable(service: AnyObject): AnyObject {
  const { type, clusterIPs = [] } = service.spec as { type?: string; clusterIPs?: string[] };
  const spec = {
    ports: [{ port: 443 }],
    ...(clusterIPs.length > 1 ? { ipFamilyPolicy: "RequireDualStack" } : {}),
    ...(type === "ExternalName" ? { externalName: "gateway.example.com" } : {}),
    ...service.spec,
  };
  return { ...service, spec };
}

function namespacesOf(objects: readonly AnyObject[]): readonly string[] {
  return [...new Set(objects.flatMap(({ metadata }) => metadata.namespace ?? []))];
}

function caseOf({ name, given, when }: Read, place: number, kind: string): AdmissionCase[] {
  const parsed = parse(renamed(when, place)) as AnyObject;
  if (parsed.kind !== kind) return [];
  const documents = parseAllDocuments(renamed(given, place))
    .map((document) => document.toJS() as AnyObject | null)
    .filter((document) => document !== null);
  const world = documents.find((each) => each.kind === "World")?.spec ?? {};
  const objects = documents.filter((each) => each.kind !== "World");
  const { namespace = templateName(place, "a") } = parsed.metadata;
  // A projected token needs one.
  const account = kind === "Pod" ? { serviceAccountName: "default" } : {};
  const subject = {
    ...parsed,
    metadata: { ...parsed.metadata, namespace },
    spec: { ...account, ...parsed.spec },
  };
  const isGateway = (object: AnyObject): boolean => kind === "Pod" && object.kind === "Service";
  const shared = objects.filter(isGateway).map(acceptable);
  const own = objects.filter((object) => !isGateway(object));
  const isPrevious = ({ kind: of, metadata }: AnyObject): boolean =>
    of === kind &&
    metadata.name === subject.metadata.name &&
    metadata.namespace === subject.metadata.namespace;
  const before = own.filter((object) => object.kind !== "HostedAPIServer").map(existing);
  return [
    {
      name,
      world,
      namespaces: namespacesOf([subject, ...own]),
      shared,
      before: subject.metadata.deletionTimestamp === undefined ? before : [...before, subject],
      hostedAPIServers: own.filter((object) => object.kind === "HostedAPIServer"),
      questions: [
        {
          name,
          object: subject,
          update: own.some(isPrevious) || subject.metadata.deletionTimestamp !== undefined,
          requester: (world.requester ?? {}) as Requester,
        },
      ],
    },
  ];
}

/** As it can be created: an API server gives these itself. */
function existing(object: AnyObject): AnyObject {
  const { uid: _uid, resourceVersion: _version, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/**
 * The cases of a capability that are about the admission of an object of a kind.
 * @param firstPlace The number of the first one's place; each takes one.
 */
export function admissionCases(
  capability: string,
  kind: "Pod" | "Service",
  firstPlace: number,
): readonly AdmissionCase[] {
  return readAll(capability).flatMap((read, index) => caseOf(read, firstPlace + index, kind));
}
