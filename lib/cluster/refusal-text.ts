/** Who may not do what, where: as RBAC says it. Nothing else is taken from a message about a Secret. */
const MISSING_RIGHT =
  /^secrets(?: "[^"]*")? is forbidden: User "[^"]*" cannot [a-z]+ resource "secrets" in API group "" (?:in the namespace "[^"]*"|at the cluster scope)/;
/** Which policy says no; its own words may quote the object. */
const POLICY =
  /^secrets "[^"]*" is forbidden: ValidatingAdmissionPolicy '[-.a-z0-9]+' with binding '[-.a-z0-9]+' denied request/;
const LONG_HEX = /[0-9a-f]{32,}/g;

/** What the API server's `Status` says. */
export interface StatusText {
  readonly reason: string;
  readonly message?: string;
}

/**
 * What of a refusal may be shown. It may quote what was sent: nothing of a Secret is passed on, and no route secret out
 * of Istio's objects.
 * @param path Of the request.
 * @returns The end of a sentence that begins with the request.
 */
export function refusalText(path: string, { reason, message = reason }: StatusText): string {
  if (!path.includes("/secrets")) return message.replace(LONG_HEX, "…");
  const [known] = MISSING_RIGHT.exec(message) ?? POLICY.exec(message) ?? [reason];
  return known;
}
