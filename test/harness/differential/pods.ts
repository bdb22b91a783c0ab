import fc from "fast-check";
import { pod, namespace, routeConfigMap, service } from "../objects";
import type { AnyObject } from "../api";
import { absentOr, present, rarely, type DrawnFrom } from "./draws";
import { templateName, type Place, type Question } from "./places";

// Generated routes and Pods. Gateways are few and shared; what of a Pod has to do with a route is drawn beside it.

const hosts = ["api.a.example.com", "api.b.example.com", "api.c.example.net", "a.internal"];
const otherHosts = ["db.example.org", "cache"];
const secrets = ["generic-token-kubeconfig", "generic-token-kubeconfig-4c8d12ab", "other"];
/** Of all numbers of the service range that declared cases leave free. */
const GATEWAY_OCTET = 200;
const FIRST_GROUP = 0x2abc;

interface Gateway {
  readonly namespace: string;
  readonly service: string;
  readonly addresses: readonly string[];
  readonly object: AnyObject;
}

const long = "g".repeat(40);

/** Gateways of every kind that an API server knows. */
const gateways: readonly Gateway[] = (
  [
    ["gateway-v4", "istio-ingressgateway-internal", ["4"]],
    ["gateway-v6", "istio-ingressgateway-internal", ["6"]],
    ["gateway-dual", "istio-ingressgateway-internal", ["4", "6"]],
    ["gateway-dual", "other", ["6", "4"]],
    [long, "istio-ingressgateway-internal", ["4"]],
    ["gateway-headless", "istio-ingressgateway-internal", []],
    ["gateway-elsewhere", "istio-ingressgateway-internal", undefined],
  ] as const
).map(([inNamespace, name, families], index) => {
  const addressOf = {
    4: `10.96.${GATEWAY_OCTET}.${index}`,
    6: `fd00:10:96::${(FIRST_GROUP + index).toString(16)}`,
  };
  const addresses = (families ?? []).map((family) => addressOf[family]);
  const ips = { clusterIP: addresses[0] ?? "None", clusterIPs: addresses };
  const spec =
    families === undefined
      ? { type: "ExternalName", externalName: "gateway.example.com" }
      : {
          ...(addresses.length > 1 ? { ipFamilyPolicy: "RequireDualStack" } : {}),
          ...(addresses.length > 0 ? ips : { clusterIP: "None" }),
        };
  return {
    namespace: inNamespace,
    service: name,
    addresses,
    object: service(inNamespace, name, spec),
  };
});

/** Other ways to write an address. */
function spellings(address: string): readonly string[] {
  if (!address.includes(":")) return [address];
  return [address, address.replace("::", ":0::"), address.toUpperCase()];
}

const foreignAddresses = ["203.0.113.10", "203.0.113.11", "fd00::9", "FD00:0::9"];

interface RouteDraw {
  readonly gateway: Gateway;
  readonly data: Readonly<Record<string, string>> | undefined;
}

const separator = fc.constantFrom(",", " , ", ",,", ",\n");

const route: fc.Arbitrary<RouteDraw> = fc
  .record({
    gateway: fc.constantFrom(...gateways, ...gateways.slice(0, 5)),
    hosts: fc.shuffledSubarray(hosts, { minLength: 1 }),
    repeated: fc.boolean(),
    between: separator,
    wrong: rarely(
      fc.constantFrom(
        { hosts: "" },
        { hosts: "*.example.com" },
        { hosts: 'a"b\\c,{host}' },
        { "istio-namespace": "nowhere" },
        { "istio-namespace": "" },
        { port: "0" },
        { addresses: "not-an-address" },
        { service: "Not A Name" },
      ),
    ),
    addresses: absentOr(
      fc.shuffledSubarray(["10.0.0.7", "fd00:0::7", "fd00::7", "203.0.113.10"], { minLength: 1 }),
      3,
    ),
    port: absentOr(fc.constantFrom("8443", "65535")),
    isThere: fc.integer({ min: 0, max: 9 }),
  })
  .map((draw) => {
    const names = draw.repeated ? [...draw.hosts, ...draw.hosts] : draw.hosts;
    const data = present({
      hosts: names.join(draw.between),
      "istio-namespace": draw.gateway.namespace,
      service: draw.gateway.service === "other" ? "other" : undefined,
      port: draw.port,
      addresses: draw.addresses?.join(draw.between),
      ...draw.wrong,
    });
    return { gateway: draw.gateway, data: draw.isThere === 0 ? undefined : data };
  });

/** The labels that routes give, so that a Pod may have one already, with any value. */
const labelKeys = [
  "networking.resources.gardener.cloud/to-gateway-v4-istio-ingressgateway-internal-tcp-9443",
  "networking.resources.gardener.cloud/to-gateway-dual-other-tcp-9443",
];

const volume = fc
  .record({ secret: fc.constantFrom(...secrets), projected: fc.boolean(), index: fc.nat(9_999) })
  .map(({ secret, projected, index }) => ({
    name: `volume-${index}`,
    ...(projected
      ? { projected: { sources: [{ configMap: { name: "a" } }, { secret: { name: secret } }] } }
      : { secret: { secretName: secret } }),
  }));

const podSpec = (addresses: readonly string[]) => {
  const alias = fc
    .record({
      ip: fc.constantFrom(...addresses.flatMap(spellings), ...foreignAddresses),
      hostnames: absentOr(fc.shuffledSubarray([...hosts, ...otherHosts]), 5),
    })
    .map(present);
  return fc.record({
    aliases: absentOr(fc.array(alias, { maxLength: 5 }), 4),
    volumes: absentOr(fc.uniqueArray(volume, { maxLength: 3, selector: ({ name }) => name }), 8),
    route: fc.constantFrom(undefined, undefined, "true", "true", "true", "false", "yes"),
    label: absentOr(fc.constantFrom(...labelKeys), 1),
    value: fc.constantFrom("allowed", "denied"),
    app: fc.boolean(),
    generated: fc.boolean(),
  });
};

function podOf(draw: DrawnFrom<ReturnType<typeof podSpec>>, inNamespace: string) {
  const labels = present({
    app: draw.app ? "controller" : undefined,
    "fairlead.dev/route": draw.route,
    ...(draw.label === undefined ? {} : { [draw.label]: draw.value }),
  });
  const created = pod(
    inNamespace,
    "controller-0",
    present<unknown>({
      volumes: draw.volumes,
      hostAliases: draw.aliases,
    }),
  );
  const name = draw.generated ? { generateName: "controller-" } : { name: "controller-0" };
  return {
    ...created,
    metadata: {
      ...name,
      namespace: inNamespace,
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
    },
  };
}

/** How much is generated. */
export interface Amount {
  readonly seed: number;
  readonly places: number;
  /** In each place. */
  readonly questions: number;
  readonly firstPlace: number;
}

/** Places with a route each, and Pods that are created there. */
export function podPlaces({ seed, places, questions, firstPlace }: Amount): readonly Place[] {
  const namespaces = [...new Set(gateways.map((gateway) => gateway.namespace))];
  const shared = [
    ...namespaces.map((name) => namespace(name)),
    ...gateways.map(({ object }) => object),
  ];
  return fc.sample(route, { seed, numRuns: places }).map(({ gateway, data }, index) => {
    const inNamespace = templateName(firstPlace + index, "pods");
    const given = data?.addresses === undefined ? [] : ["10.0.0.7", "fd00::7"];
    const drawn = fc.sample(podSpec([...gateway.addresses, ...given, "10.0.0.8"]), {
      seed: seed + index,
      numRuns: questions,
    });
    return {
      namespaces: [inNamespace],
      shared: index === 0 ? shared : [],
      before: data === undefined ? [] : [routeConfigMap(inNamespace, data)],
      hostedAPIServers: [],
      questions: drawn.map(
        (draw, number): Question => ({
          name: `Pod ${number} of ${inNamespace}, whose route is ${JSON.stringify(data)}`,
          object: podOf(draw, inNamespace),
          update: false,
          requester: {},
        }),
      ),
    };
  });
}
