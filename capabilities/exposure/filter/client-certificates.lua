-- fairlead: who a request is from. Runs in Envoy (LuaJIT, so Lua 5.1) for every request to a hosted API server.
--
-- Not a word of what a client says about itself goes on; what its validated certificate says does. The file defines one
-- function; whoever embeds it calls that with the gateway's route secret, in a line of its own after the file, since
-- Envoy names a script in its logs by its first line; and with true where it listens at the end of tunnels. See
-- docs/identity.md.

local ROUTE_HEADER = "x-fairlead-client-certificate"
local USER_HEADER = "x-remote-user"
local GROUP_HEADER = "x-remote-group"

-- After a switch to L4, routes are under this name alone, for connections that are still being drained.
local DRAINING_SUFFIX = ".draining.fairlead.invalid"

-- istiod takes a VirtualService's host without a dot for a Service beside it, so this in-cluster name has the routes of
-- the next longer one.
local SHORT_NAME, NEXT_NAME = "kubernetes", "kubernetes.default"

-- Headers by which a client of an address that Envoy takes for internal could steer the router: have requests repeated
-- that kube-apiserver may have seen, or have them end early. And the certificate that Envoy itself describes, which
-- nobody reads and which makes a request larger by several kilobytes.
local STEERING = {
  ["x-envoy-retry-on"] = true,
  ["x-envoy-retry-grpc-on"] = true,
  ["x-envoy-max-retries"] = true,
  ["x-envoy-retriable-status-codes"] = true,
  ["x-envoy-retriable-header-names"] = true,
  ["x-envoy-hedge-on-per-try-timeout"] = true,
  ["x-envoy-upstream-rq-timeout-ms"] = true,
  ["x-envoy-upstream-rq-per-try-timeout-ms"] = true,
  ["x-envoy-upstream-stream-duration-ms"] = true,
  ["x-forwarded-client-cert"] = true,
}

-- An underscore is an other name to kube-apiserver, but not to everything that may stand before it.
local function is_identity(name)
  name = string.gsub(name, "_", "-")
  return string.sub(name, 1, 9) == "x-remote-" or string.sub(name, 1, 11) == "x-fairlead-"
end

-- Collected first, then removed: a header map that is being iterated must not change.
local function strip(headers)
  local found = {}
  for name in pairs(headers) do
    local lower = string.lower(name)
    if is_identity(lower) or STEERING[lower] then found[#found + 1] = name end
  end
  for _, name in ipairs(found) do headers:remove(name) end
end

-- What an upgrade's Connection header names besides the upgrade would be dropped on the way by whoever honours it, an
-- identity header included.
local function tidy_upgrade(headers)
  if headers:get("upgrade") ~= nil and headers:get("connection") ~= nil then
    headers:replace("connection", "Upgrade")
  end
end

-- The host of an authority: without the port, without a final dot, in lower case.
local function host_of(authority)
  local host = string.gsub(string.lower(authority or ""), ":%d*$", "")
  return (string.gsub(host, "%.$", ""))
end

local function is_draining_name(name)
  return string.sub(name, -string.len(DRAINING_SUFFIX)) == DRAINING_SUFFIX
end

-- A control character can't travel in a header, and HTTP/1.1 trims blanks at the ends: " admin" would be "admin".
local function is_unfit(value)
  return string.find(value, "[%c%z]") ~= nil or string.find(value, "^%s") ~= nil or string.find(value, "%s$") ~= nil
end

-- How many common names a subject has (RFC 2253 text, separators escaped by a backslash). Envoy takes the last one that
-- is not empty and kube-apiserver the last one: with more than one they could mean different people.
local function common_names(subject)
  local plain = string.gsub(subject, "\\.", "?")
  local _, count = string.gsub("," .. plain, "[,+]CN=", "")
  return count
end

-- The user and groups of a certificate, or nil and why it is refused.
local function identity_of(ssl)
  local expires, begins, now = ssl:expirationPeerCertificate(), ssl:validFromPeerCertificate(), os.time()
  -- Checked with every request: a handshake that was good says nothing about a connection that is a week old.
  if not expires or not begins or now > expires or now < begins then
    return nil, "the client certificate is expired or not yet valid"
  end
  local subject = ssl:parsedSubjectPeerCertificate()
  if subject == nil or common_names(ssl:subjectPeerCertificate()) > 1 then
    return nil, "the client certificate has not exactly one common name"
  end
  local user = subject:commonName()
  if user == nil or user == "" then
    return nil, "the client certificate has not exactly one common name"
  end
  if is_unfit(user) then
    return nil, "the client certificate's common name can't be sent in a header"
  end
  local groups = {}
  for _, group in ipairs(subject:organizationName()) do
    if is_unfit(group) then
      return nil, "an organization of the client certificate can't be sent in a header"
    end
    if group ~= "" then groups[#groups + 1] = group end
  end
  return { user = user, groups = groups }
end

-- A connection is good for one host, that of its handshake: another one may be another tenant's. At the end of a tunnel
-- the listener is one tenant's, with routes for its own names alone, and clients that connect by address send no SNI.
local function is_misdirected(sni, authority, has_route, in_tunnel)
  if in_tunnel then return not has_route or (sni ~= "" and sni ~= authority) end
  return sni == "" or sni ~= authority or is_draining_name(sni)
end

-- Changes the request's headers; returns the status and message to answer it with, or nothing for it to go on.
local function decide(handle, route_secret, in_tunnel)
  local headers, info = handle:headers(), handle:streamInfo()
  -- Before any header changes: then Envoy forgets the route that it found.
  local has_route = info:routeName() ~= ""
  strip(headers)
  tidy_upgrade(headers)

  local sni, host = host_of(info:requestedServerName()), host_of(headers:get(":authority"))
  if in_tunnel and host == SHORT_NAME then
    headers:replace(":authority", NEXT_NAME)
    has_route = true
  end
  if is_misdirected(sni, host, has_route, in_tunnel) then
    return 421, "the request's host is not the one that the connection was made for"
  end
  -- Listener and routes are not switched at the same instant.
  if not has_route then headers:replace(":authority", sni .. DRAINING_SUFFIX) end

  -- OPTIONAL_MUTUAL fails the handshake of a certificate that this host's own client CAs did not sign, and a session is
  -- only resumed in the TLS context that it was made in, so a certificate that is there was validated there.
  -- peerCertificateValidated() says false of a resumed session: https://github.com/envoyproxy/envoy/issues/21235
  local ssl = info:downstreamSslConnection()
  if ssl == nil then return 421, "the request did not come by TLS" end
  if not ssl:peerCertificatePresented() then return end

  local identity, why = identity_of(ssl)
  if identity == nil then return 401, why end
  headers:add(USER_HEADER, identity.user)
  for _, group in ipairs(identity.groups) do headers:add(GROUP_HEADER, group) end
  -- Last, so that nothing that fails before leads to the trusted route.
  headers:add(ROUTE_HEADER, route_secret)
end

local REASONS = { [401] = "Unauthorized", [421] = "MisdirectedRequest", [500] = "InternalError" }

-- As kube-apiserver would say it, so that clients show the sentence. The messages are fixed texts without quotes.
local function answer(handle, status, message)
  local body = '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"fairlead: ' .. message ..
    '","reason":"' .. REASONS[status] .. '","code":' .. status .. "}\n"
  handle:respond({ [":status"] = tostring(status), ["content-type"] = "application/json" }, body)
end

function fairlead_client_certificates(route_secret, in_tunnel)
  return function(handle)
    -- Envoy lets a request go on whose script fails. respond() yields, so it stays outside of pcall.
    local ran, status, message = pcall(decide, handle, route_secret, in_tunnel)
    if not ran then
      handle:logErr("fairlead: the client certificate filter failed: " .. tostring(status))
      return answer(handle, 500, "the gateway could not find out who the request is from")
    end
    if status then return answer(handle, status, message) end
  end
end
