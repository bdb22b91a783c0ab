import { ADMISSION, PORT, systemMeta, WATCH, type ProcessNames } from "../names";
import { value, type Entry, type Template } from "../template";

const DNS: Template = {
  ports: [
    { protocol: "UDP", port: 53 },
    { protocol: "TCP", port: 53 },
  ],
};

/** Who connects: the API server and the kubelet, which are no Pods, and Prometheus, wherever it runs. */
const ingress: readonly Template[] = [{ ports: [{ protocol: "TCP", port: PORT }] }];

function policy(process: ProcessNames, egress: readonly Template[]): Entry {
  return {
    object: {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: systemMeta(process.serviceAccount),
      spec: {
        podSelector: { matchLabels: process.selector },
        policyTypes: ["Ingress", "Egress"],
        ingress,
        egress: [DNS, ...egress],
      },
    },
    when: [{ path: "networkPolicy.enabled", is: true }],
  };
}

/** What fairlead's own Pods may connect to, and who to them. */
export function networkPolicyEntries(): readonly Entry[] {
  const apiServer = { ports: value("networkPolicy.apiServer") };
  return [
    policy(ADMISSION, [apiServer]),
    policy(WATCH, [
      apiServer,
      // It looks at what gateways and hosted API servers serve; those are anywhere.
      { ports: value("networkPolicy.gateways") },
      { ports: value("networkPolicy.hostedAPIServers") },
      // And at which certificate each replica serves.
      {
        to: [{ podSelector: { matchLabels: ADMISSION.selector } }],
        ports: [{ protocol: "TCP", port: PORT }],
      },
    ]),
  ];
}
