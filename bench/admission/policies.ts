import { clusterParamsOf, namespaceParamsOf } from "../../capabilities/policies/params";
import { policyObjects } from "../../capabilities/policies/resources";
import { PARAMETERS_CONFIG_MAP, parameterLabels } from "../../lib/domain/admission-policies";
import type { ConfigMap } from "../../lib/domain/route-config";
import type { RouteService } from "../../lib/domain/routes";
import { SYSTEM_NAMESPACE } from "../../lib/domain/webhook";
import type { AnyObject, Api } from "../../test/harness/api";
import { configMap } from "../../test/harness/objects";

/** fairlead's policies, as its watch process installs them. */
export const policies = policyObjects({ apiVersion: "v1" }) as unknown as readonly AnyObject[];

/** What the policies are told, as the watch process keeps it: of a namespace with a route, and of all others. */
export async function parametersOf(api: Api, namespace: string): Promise<readonly AnyObject[]> {
  const route = await api.get({
    kind: "ConfigMap",
    namespace,
    name: "istio-internal-load-balancing",
  });
  const service = await api.get({
    kind: "Service",
    namespace: route.data?.["istio-namespace"] ?? "",
    name: "istio-ingressgateway-internal",
  });
  const topology = { minor: 36, zones: 3 };
  const data = namespaceParamsOf({
    ...topology,
    hostedAPIServers: [],
    route: {
      namespace,
      configMap: route as unknown as ConfigMap,
      service: () => service as unknown as RouteService,
    },
  });
  if (data === undefined) throw new Error(`there is no route in ${namespace}`);
  return [
    labelled(configMap(namespace, PARAMETERS_CONFIG_MAP, data)),
    labelled(
      configMap(
        SYSTEM_NAMESPACE,
        PARAMETERS_CONFIG_MAP,
        clusterParamsOf({ ...topology, namespaces: [] }),
      ),
    ),
  ];
}

function labelled(object: AnyObject): AnyObject {
  return { ...object, metadata: { ...object.metadata, labels: parameterLabels } };
}
