import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { createCA, issue } from "../cluster";
import type { AnyObject } from "./api";
import { readObjects } from "./installation";
import { encode } from "./objects";

const path = resolve(__dirname, "../upgrade/first-release.yaml.gz");

/** The first release's manifest, with a serving certificate as its build would have made it. */
export async function firstRelease(): Promise<readonly AnyObject[]> {
  const ca = await createCA({ commonName: "Pepr Ephemeral CA", algorithm: "rsa" });
  const { certificatePem, privateKeyPem } = await issue(ca, {
    commonName: "pepr-fairlead.pepr-system.svc",
    dnsNames: ["pepr-fairlead.pepr-system.svc"],
    usages: ["server"],
    algorithm: "rsa",
  });
  const caBundle = Buffer.from(ca.certificatePem).toString("base64");
  return readObjects(gunzipSync(readFileSync(path)).toString("utf8")).map((object) => {
    if (object.kind === "Secret" && object.metadata.name === "pepr-fairlead-tls") {
      return { ...object, data: encode({ "tls.crt": certificatePem, "tls.key": privateKeyPem }) };
    }
    if (object.kind !== "MutatingWebhookConfiguration") return object;
    const webhooks = object.webhooks as readonly { readonly clientConfig: object }[];
    return {
      ...object,
      webhooks: webhooks.map((webhook) => ({
        ...webhook,
        clientConfig: { ...webhook.clientConfig, caBundle },
      })),
    };
  });
}
