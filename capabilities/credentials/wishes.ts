import { ANNOTATION_SUPERSEDED_AT } from "../../lib/domain/names";
import { findLastGood, isAsDesired, type LastGood } from "./copies";
import { findSecret, isOwnSecret, withContent, type Observed } from "./observed";
import type { Resolution } from "./resolve";
import {
  desiredProxyClientSecret,
  desiredServerSecret,
  issuePeriodAt,
  readMark,
  type Belonging,
  type DesiredSecret,
  type Use,
} from "./secrets";
import type { Secret } from "./sources";

/** What is wished for a use: nothing, something that its sources can't give now, or a certain Secret. */
export type Wish =
  | { readonly kind: "absent" }
  | { readonly kind: "blocked" }
  | { readonly kind: "desired"; readonly secret: DesiredSecret };

/** A write that makes a Secret as it should be. */
export type ApplyAction =
  /** Set before the first Secret is made, so that none is ever left behind. */
  | { readonly kind: "add-finalizer" }
  | { readonly kind: "create"; readonly secret: DesiredSecret }
  /** Certificate, key and CAs in one write, if the Secret is still the one that was read. */
  | { readonly kind: "replace"; readonly secret: DesiredSecret; readonly existing: Secret }
  /** What is immutable and damaged: deleted and made again under its name. */
  | { readonly kind: "recreate"; readonly secret: DesiredSecret; readonly existing: Secret }
  /** It is current again. */
  | { readonly kind: "unmark"; readonly secret: DesiredSecret; readonly existing: Secret };

/** How it stands with one use. */
export type UseState =
  | { readonly kind: "absent" }
  | { readonly kind: "current"; readonly desired: DesiredSecret; readonly secret: Secret }
  | { readonly kind: "pending"; readonly action: ApplyAction }
  | { readonly kind: "kept"; readonly copy: LastGood }
  | { readonly kind: "missing" }
  | {
      readonly kind: "foreign";
      readonly desired: DesiredSecret;
      readonly copy: LastGood | undefined;
    };

/** The wishes of a HostedAPIServer, by use. */
export type Wishes = Readonly<Record<Use, Wish>>;

/** What wishes are made from. */
export type WishContext = Pick<Observed, "hapi" | "resolution" | "settings" | "nowMs">;

const desired = (secret: DesiredSecret): Wish => ({ kind: "desired", secret });
const blocked: Wish = { kind: "blocked" };

function serverWish(belonging: Belonging, { server, clientCA }: Resolution): Wish {
  if (server.kind === "absent") return { kind: "absent" };
  if (server.kind === "refused" || clientCA.kind === "refused") return blocked;
  const bundle = clientCA.kind === "resolved" ? clientCA.value : undefined;
  return desired(desiredServerSecret(belonging, server.value, bundle));
}

function proxyClientWish(belonging: Belonging, context: WishContext): Wish {
  const { serverCA, proxyClient } = context.resolution;
  const { lifetimeMs, clockSkewMs } = context.settings;
  if (serverCA.kind === "absent") return { kind: "absent" };
  if (serverCA.kind === "refused" || proxyClient.kind === "refused") return blocked;
  const period = { lifetimeMs, clockSkewMs };
  const { startMs } = issuePeriodAt(belonging.hapi, period, context.nowMs);
  return desired(
    desiredProxyClientSecret(belonging, {
      serverCA: serverCA.value,
      proxyClient: proxyClient.kind === "resolved" ? proxyClient.value : undefined,
      periodStartMs: startMs,
      period,
    }),
  );
}

/** The Secrets that the sources ask for in a gateway namespace, whatever is there already. */
export function makeWishes(context: WishContext, namespace: string): Wishes {
  const belonging: Belonging = { hapi: context.hapi, namespace };
  return {
    server: serverWish(belonging, context.resolution),
    "proxy-client": proxyClientWish(belonging, context),
  };
}

/**
 * Whether the last good copy of one Secret goes with the new version of the other. A gateway that asks for client
 * certificates but has none of its own to the API servers, or the other way round, would turn people into nobody.
 */
function copyFits(copy: LastGood | undefined, use: Use, resolution: Resolution): boolean {
  const withClients = resolution.clientCA.kind !== "absent";
  const content = copy?.content;
  if (content === undefined) return false;
  const has = use === "server" ? content.hasAuthorities : content.leaf !== undefined;
  return has === withClients;
}

const counterparts: Readonly<Record<Use, Use>> = {
  server: "proxy-client",
  "proxy-client": "server",
};

/** A wish is put off while the other Secret can't follow and its last good copy does not go with it. */
function putOff(wishes: Wishes, use: Use, context: StateContext): Wish {
  const other = counterparts[use];
  const state = stateOf(wishes[other], other, context);
  if (wishes[use].kind !== "desired") return wishes[use];
  if (state.kind === "missing") return blocked;
  if (state.kind !== "kept" && state.kind !== "foreign") return wishes[use];
  return copyFits(state.copy, other, context.observed.resolution) ? wishes[use] : blocked;
}

function stateOf(wish: Wish, use: Use, context: StateContext): UseState {
  const { observed, namespace } = context;
  if (wish.kind === "absent") return wish;
  const copy = findLastGood(observed, namespace, use);
  if (wish.kind === "blocked")
    return copy === undefined ? { kind: "missing" } : { kind: "kept", copy };
  const { secret } = wish;
  const found = findSecret(observed, namespace, secret.name);
  if (found === undefined) return { kind: "pending", action: { kind: "create", secret } };
  const existing = withContent(found);
  const isOurs =
    existing?.type === "Opaque" &&
    isOwnSecret(existing, observed) &&
    readMark(existing)?.use === use;
  if (!isOurs) return { kind: "foreign", desired: secret, copy };
  if (!isAsDesired(existing, secret)) {
    const kind = secret.immutable || existing.immutable === true ? "recreate" : "replace";
    return { kind: "pending", action: { kind, secret, existing } };
  }
  if (existing.metadata.annotations?.[ANNOTATION_SUPERSEDED_AT] !== undefined) {
    return { kind: "pending", action: { kind: "unmark", secret, existing } };
  }
  return { kind: "current", desired: secret, secret: existing };
}

interface StateContext {
  readonly observed: Observed;
  readonly namespace: string;
}

/** How it stands with each use in a gateway namespace. Modifies and throws nothing. */
export function examine(observed: Observed, namespace: string): Readonly<Record<Use, UseState>> {
  const wishes = makeWishes(observed, namespace);
  const context: StateContext = { observed, namespace };
  const examineUse = (use: Use): UseState => stateOf(putOff(wishes, use, context), use, context);
  return { server: examineUse("server"), "proxy-client": examineUse("proxy-client") };
}
