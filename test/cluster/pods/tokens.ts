import type { Rest } from "../rest";
import type { Pod } from "./pod";

interface Token {
  readonly text: string;
  readonly renewAtMs: number;
}

const DEFAULT_SECONDS = 3_600;

/** A Pod's ServiceAccount tokens, bound to it, and renewed after four fifths of their time as a kubelet does. */
export class Tokens {
  readonly #tokens = new Map<string, Token>();

  /** @param rest The API server, as the kubelet. */
  constructor(
    private readonly rest: Rest,
    private readonly pod: Pod,
  ) {}

  /** The token for an audience ("": the API server's own); undefined while there is none. */
  get(audience: string): string | undefined {
    return this.#tokens.get(audience)?.text;
  }

  /** Asks for what is missing or nearly over; what can't be had is asked for the next time. */
  async refresh(): Promise<void> {
    const sources = (this.pod.spec.volumes ?? []).flatMap(
      ({ projected }) => projected?.sources ?? [],
    );
    for (const { serviceAccountToken } of sources) {
      if (serviceAccountToken === undefined) continue;
      const { audience = "", expirationSeconds = DEFAULT_SECONDS } = serviceAccountToken;
      const token = this.#tokens.get(audience);
      if (token !== undefined && Date.now() < token.renewAtMs) continue;
      const text = await this.#request(audience, expirationSeconds);
      const renewAtMs = Date.now() + expirationSeconds * 800;
      if (text !== undefined) this.#tokens.set(audience, { text, renewAtMs });
    }
  }

  async #request(audience: string, expirationSeconds: number): Promise<string | undefined> {
    const { namespace, name, uid } = this.pod.metadata;
    const account = this.pod.spec.serviceAccountName ?? "default";
    const { status, body } = await this.rest.call({
      method: "POST",
      path: `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
      body: {
        spec: {
          audiences: audience === "" ? [] : [audience],
          expirationSeconds,
          boundObjectRef: { apiVersion: "v1", kind: "Pod", name, uid },
        },
      },
    });
    if (status !== 201) return undefined;
    return (JSON.parse(body) as { readonly status: { readonly token: string } }).status.token;
  }
}
