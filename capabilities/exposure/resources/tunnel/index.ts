export { loopbackAddressOf } from "./loopback";
export { tunnelNamesOf, tunnelPortsOf } from "./names";
export { tunnelObjectsOf, tunnelRevisionPathOf, type Tunnel, type TunnelObjects } from "./objects";
