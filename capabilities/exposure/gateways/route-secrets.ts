import { randomBytes } from "node:crypto";
import type { InternalGateway, PartialObjectMetadata } from "../../../lib/api";
import { Freshest, refOf, type Cache } from "../../../lib/cluster";
import { keyOf } from "../../../lib/domain/keys";
import { executeWrite, type WriteContext } from "../writes";
import {
  isOwnRouteSecret,
  routeSecretNameOf,
  routeSecretOf,
  routeSecretValue,
  withoutData,
  type RouteSecret,
  type RouteSecretState,
} from "./route-secret";

interface Read {
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
  readonly value: string | undefined;
}

const VALUE_BYTES = 32;

const isOf = ({ uid, resourceVersion }: Read, { metadata }: PartialObjectMetadata): boolean =>
  uid === metadata.uid && resourceVersion === metadata.resourceVersion;

/** Route Secrets: their metadata is watched, and each version's value is read once and kept in memory. */
export class RouteSecrets {
  readonly #metadata: Freshest<PartialObjectMetadata>;
  readonly #read = new Map<string, Read>();

  /** @param secrets Metadata of all Secrets. */
  constructor(
    private readonly context: WriteContext,
    secrets: Cache<PartialObjectMetadata>,
  ) {
    this.#metadata = new Freshest(secrets);
  }

  /**
   * What is there for an InternalGateway.
   * @throws {ApiError} where the Secret can't be read.
   */
  async observe(gateway: InternalGateway): Promise<RouteSecretState> {
    const { namespace } = gateway.metadata;
    const object = this.#metadata.get(routeSecretNameOf(gateway), namespace);
    if (object === undefined) return { kind: "absent" };
    if (!isOwnRouteSecret(gateway, object)) return { kind: "foreign" };
    if (object.metadata.deletionTimestamp !== undefined) return { kind: "going", object };
    const known = this.#read.get(keyOf(object));
    if (known !== undefined && isOf(known, object)) return stateOf(object, known);
    const secret = await this.context.client.get<RouteSecret>(refOf(object));
    if (secret === undefined) {
      this.removed(object);
      return { kind: "absent" };
    }
    if (!isOwnRouteSecret(gateway, secret)) return { kind: "foreign" };
    return stateOf(object, this.#note(secret));
  }

  /**
   * Makes the Secret of an InternalGateway; the one of another process that was first is taken instead.
   * @throws {ForeignObjectError} and {ApiError}.
   */
  async create(gateway: InternalGateway): Promise<void> {
    const object = routeSecretOf(gateway, randomBytes(VALUE_BYTES).toString("hex"));
    const secret = await executeWrite(this.context, keyOf(gateway), {
      kind: "create",
      object,
    });
    if (secret !== undefined) this.#note(secret);
  }

  /** Notes that a Secret was deleted. */
  removed(object: PartialObjectMetadata): void {
    this.#metadata.removed(object);
    this.forget(keyOf(object));
  }

  /**
   * Forgets the value of a Secret that nobody has need of any more.
   * @param place `namespace/name`.
   */
  forget(place: string): void {
    this.#read.delete(place);
  }

  #note(secret: RouteSecret): Read {
    const { uid, resourceVersion } = secret.metadata;
    const read = { uid, resourceVersion, value: routeSecretValue(secret) };
    this.#read.set(keyOf(secret), read);
    this.#metadata.wrote(withoutData(secret));
    return read;
  }
}

function stateOf(object: PartialObjectMetadata, { value }: Read): RouteSecretState {
  return value === undefined ? { kind: "invalid", object } : { kind: "known", object, value };
}
