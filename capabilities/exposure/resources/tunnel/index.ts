export { loopbackAddressOf } from "./loopback";
export { inClusterOf, tunnelNamesOf, tunnelPortsOf } from "./names";
export { tunnelObjectsOf, tunnelRevisionPathOf, type Tunnel, type TunnelObjects } from "./objects";
