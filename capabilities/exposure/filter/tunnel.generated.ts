/** capabilities/exposure/filter/tunnel.lua without comments, by `npx tsx scripts/embed-lua.ts`. */
export const tunnelLua = [
  'local TUNNEL_ROUTES = { ["tunnel"] = true, ["tunnel-passthrough"] = true }',
  "local function refuse(handle, status, message)",
  'handle:respond({ [":status"] = tostring(status), ["content-type"] = "text/plain" }, "fairlead: " .. message .. "\\n")',
  "end",
  "function envoy_on_request(handle)",
  'if handle:headers():get(":method") ~= "CONNECT" then',
  'return refuse(handle, 405, "this port takes CONNECT to the host of a hosted API server, and nothing else")',
  "end",
  "if not TUNNEL_ROUTES[handle:streamInfo():routeName()] then",
  'return refuse(handle, 404, "no hosted API server of that host takes tunnels here")',
  "end",
  "end",
].join("\n");
