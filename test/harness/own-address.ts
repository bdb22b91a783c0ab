import { networkInterfaces } from "node:os";

/**
 * An address of this machine that is no loopback address: EndpointSlices take no other, and an API server treats it as
 * that of a Service.
 * @throws Error where there is none.
 */
export function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const found = addresses.find(({ family, internal }) => family === "IPv4" && !internal);
  if (found === undefined) throw new Error("this machine has no address besides 127.0.0.1");
  return found.address;
}
