import { getLocal } from "mockttp";
import { createCA } from "../cluster";
import { randomFrom } from "../harness/random";
import type { FaultStage } from "./stage";

/** How many of the requests fail. */
const SHARE = 0.4;

const status = (code: number) => ({
  kind: "Status",
  apiVersion: "v1",
  status: "Failure",
  code,
  reason: "InternalError",
  message: "a fault",
});

/** What load balancers and API servers say when they are not well, or don't. */
const answers = [
  { statusCode: 500, json: status(500) },
  { statusCode: 503, json: status(503), headers: { "retry-after": "1" } },
  { statusCode: 504, json: status(504) },
  { statusCode: 502, body: "<html>Bad Gateway</html>", headers: { "content-type": "text/html" } },
  { statusCode: 200, body: "<html>a login page</html>", headers: { "content-type": "text/html" } },
  "close",
  "reset",
] as const;

async function startErrorServer(random: () => number) {
  const ca = await createCA({ commonName: "errors", algorithm: "rsa" });
  const server = getLocal({
    https: { cert: ca.certificatePem, key: ca.privateKeyPem },
    http2: false,
    recordTraffic: false,
  });
  await server.start();
  await server
    .forAnyRequest()
    .thenCallback(() => answers[Math.floor(random() * answers.length)] ?? "close");
  const url = `https://localhost:${server.port}`;
  return { url, caPem: ca.certificatePem, stop: async () => server.stop() };
}

/**
 * Has a good part of fairlead's requests answered by errors, in the API server's stead, while something is done.
 * @returns how many.
 */
export async function failSome(
  { httpProxy }: Pick<FaultStage, "httpProxy">,
  run: () => Promise<void>,
): Promise<number> {
  if (httpProxy === undefined) throw new Error("nothing stands before the API server");
  const random = randomFrom(500);
  const errors = await startErrorServer(random);
  const { url, caPem } = errors;
  let failed = 0;
  httpProxy.intercept({
    async before() {
      if (random() > SHARE) return Promise.resolve({ kind: "pass" });
      failed += 1;
      return Promise.resolve({ kind: "elsewhere", url, caPem });
    },
  });
  try {
    await run();
  } finally {
    httpProxy.intercept({});
    await errors.stop();
  }
  return failed;
}
