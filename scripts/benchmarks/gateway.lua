-- What Tollgate is compared with: a gateway as it is written for nginx's Lua module. An API key is found
-- by its SHA-256; the client and the address have a token bucket each; the headers say what is left. The
-- audit line is nginx's own log_format, which is quicker than one made here.
local ffi = require "ffi"
ffi.cdef "unsigned char *SHA256(const unsigned char *data, size_t length, unsigned char *digest);"
local digest = ffi.new("unsigned char[32]")
local buckets = ngx.shared.buckets
local gateway = { keys = {}, tiers = {} }

local function refuse(status, code, retry_after)
    ngx.status = status
    ngx.header["Content-Type"] = "application/json"
    ngx.header["Retry-After"] = retry_after
    ngx.say('{"error":{"message":"', code, '","type":"invalid_request_error","code":"', code, '"}}')
    ngx.var.reason = code
    return ngx.exit(status)
end

-- A token bucket is the time at which it is full again, as limit_req has it: when that will be if one
-- more is taken, how many are left then, and in how many seconds one can be taken if none can.
local function look(name, tier, now)
    local full = math.max(buckets:get(name) or now, now) + 1 / tier.rate
    local spare = (now - full) * tier.rate + tier.burst
    return full, math.floor(spare), spare < 0 and math.ceil(-spare / tier.rate) or nil
end

function gateway.access()
    local header = ngx.var.http_authorization
    local credential = header and header:match("^[Bb]earer +([^ ]+)$")
    if not credential then
        return refuse(401, "invalid_api_key")
    end
    ffi.C.SHA256(credential, #credential, digest)
    local principal = gateway.keys[ffi.string(digest, 32)]
    if not principal then
        return refuse(401, "invalid_api_key")
    end

    local now, tier = ngx.now(), gateway.tiers[principal.tier]
    local client, address = "client:" .. principal.client, "address:" .. ngx.var.binary_remote_addr
    local client_full, left, client_wait = look(client, tier, now)
    local address_full, _, address_wait = look(address, gateway.tiers.address, now)
    if client_wait or address_wait then
        return refuse(429, "rate_limit_exceeded", math.max(client_wait or 0, address_wait or 0))
    end
    buckets:set(client, client_full, client_full - now + 1)
    buckets:set(address, address_full, address_full - now + 1)

    ngx.var.client, ngx.var.tier = principal.client, principal.tier
    ngx.ctx.limit, ngx.ctx.left, ngx.ctx.reset = tier.burst, left, client_full - now
    ngx.req.clear_header("Authorization")
    ngx.req.set_header("X-Client-ID", principal.client)
    ngx.req.set_header("X-Client-Tier", principal.tier)
    ngx.req.set_header("X-Request-ID", ngx.var.request_id)
end

function gateway.header_filter()
    local header, context = ngx.header, ngx.ctx
    header["X-Request-ID"] = ngx.var.request_id
    header["X-RateLimit-Limit-Requests"] = context.limit
    header["X-RateLimit-Remaining-Requests"] = context.left
    header["X-RateLimit-Reset-Requests"] = context.reset and string.format("%.3fs", context.reset)
end

return gateway
