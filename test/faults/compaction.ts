import { request } from "node:http";
import type { EmbeddedCluster } from "../cluster";
import { Refusal } from "../harness/api";
import type { FaultStage } from "./stage";

/** etcd's own JSON over HTTP. @see https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/ */
async function askEtcd<T>({ etcd }: EmbeddedCluster, path: string, body: object): Promise<T> {
  const text = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const outgoing = request(`${etcd.url}${path}`, { method: "POST" }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const answer = Buffer.concat(chunks).toString("utf8");
        if (response.statusCode === 200) resolve(JSON.parse(answer) as T);
        else reject(new Error(`etcd ${path}: ${response.statusCode ?? 0} ${answer}`));
      });
    });
    outgoing.on("error", reject);
    outgoing.end(text);
  });
}

/** Throws etcd's history away, up to now. */
export async function compact(cluster: EmbeddedCluster): Promise<void> {
  const { header } = await askEtcd<{ header: { revision: string } }>(cluster, "/v3/kv/range", {
    key: Buffer.from("\0").toString("base64"),
  });
  await askEtcd(cluster, "/v3/kv/compaction", { revision: header.revision, physical: true });
}

/** The code of the error that a watch from a version is answered with; 0 where it is none. */
export async function watchFrom(
  { api }: Pick<FaultStage, "api">,
  path: string,
  resourceVersion: string,
): Promise<number> {
  // A watch ends after its first event here, since what it is asked for is gone.
  const query = `watch=true&resourceVersion=${resourceVersion}&timeoutSeconds=5`;
  try {
    const event = await api.read<{ type?: string; object?: { code?: number } }>(`${path}?${query}`);
    return event.type === "ERROR" ? (event.object?.code ?? 0) : 0;
  } catch (error) {
    // Some versions refuse at once.
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}
