-- fairlead: what a gateway's tunnel port answers itself. Runs in Envoy (LuaJIT, so Lua 5.1).
--
-- Routes lead the tunnels of tenants that have one; whatever else is asked for gets a sentence, since a node's proxy
-- shows nothing but the answer. Nothing of a tenant is looked at to say it.

local TUNNEL_ROUTES = { ["tunnel"] = true, ["tunnel-passthrough"] = true }

local function refuse(handle, status, message)
  handle:respond({ [":status"] = tostring(status), ["content-type"] = "text/plain" }, "fairlead: " .. message .. "\n")
end

function envoy_on_request(handle)
  if handle:headers():get(":method") ~= "CONNECT" then
    return refuse(handle, 405, "this port takes CONNECT to the host of a hosted API server, and nothing else")
  end
  if not TUNNEL_ROUTES[handle:streamInfo():routeName()] then
    return refuse(handle, 404, "no hosted API server of that host takes tunnels here")
  end
end
