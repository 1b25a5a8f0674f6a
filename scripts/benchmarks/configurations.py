"""What nginx is told to do: by its own directives, by Tollgate, by a script in Lua."""

import hashlib

NGINX_HTTP = """
    map_hash_bucket_size 128;
    map $http_authorization $client {{ default ""; "Bearer {key}" acme; }}
    limit_req_zone $client zone=client:10m rate=100000r/s;
    limit_req_zone $binary_remote_addr zone=address:10m rate=100000r/s;
    limit_conn_zone $client zone=connections:10m;
    log_format audit escape=json '{{"time":"$time_iso8601","request_id":"$request_id",'
        '"status":$status,"client":"$client","remote_addr":"$remote_addr",'
        '"method":"$request_method","path":"$uri","duration":$request_time,'
        '"upstream":"$upstream_addr","upstream_status":"$upstream_status",'
        '"upstream_time":"$upstream_response_time","bytes_in":$request_length,'
        '"bytes_out":$bytes_sent}}';
"""

NGINX_LOCATION = """
            if ($client = "") { return 401; }
            limit_req zone=client burst=100000 nodelay;
            limit_req zone=address burst=100000 nodelay;
            limit_conn connections 1000;
            access_log access.log audit;
"""

TOLLGATE_HTTP = """
    tollgate_zone zone=tollgate:10m;
    tollgate_tier pro {{ requests {client}; }}
    tollgate_limit per_address key=$binary_remote_addr requests={address};
"""

TOLLGATE_LOCATION = """
            tollgate on;
            tollgate_auth api_key jwt;
            tollgate_api_keys keys.json;
            tollgate_jwt_key_file secret;
            tollgate_apply per_address;
            tollgate_audit_log audit.log;
"""

# What the clients of a tier may do.
PERMISSIONS_HTTP = TOLLGATE_HTTP.replace(
    "requests {client};",
    "requests {client}; models mock*; scopes chat models; deny tools; cidrs 127.0.0.0/8;",
)

# An engine that tells of its health.
GATE_LOCATION = TOLLGATE_LOCATION + "            tollgate_engine vllm;\n"

# With a page, requests are counted. It has a server of its own, so that no request is asked whether it is for that.
METRICS_HTTP = """
    server {{
        listen unix:{folder}/pages.sock;
        location = /metrics {{ tollgate_metrics; }}
    }}
"""
# Single clients and the last hour as well.
STATUS_HTTP = """
    server {{
        listen unix:{folder}/pages.sock;
        location = /metrics {{ tollgate_metrics clients=20; }}
        location = /status {{ tollgate_status; }}
    }}
"""

PERMISSIONS_LOCATION = GATE_LOCATION + """
            tollgate_cors https://app.example.com;
            tollgate_security_headers on;
"""

METERED_HTTP = """
    tollgate_zone zone=tollgate:10m;
    tollgate_price "*" input=0.1 output=0.2;
    tollgate_tier pro {
        requests 500000000r/m;
        tokens 500000k/m;
        concurrency 64;
        budget 1000000/day;
    }
    tollgate_limit per_address key=$binary_remote_addr requests=5000000r/s;
"""

# A streamed answer goes out as it comes in.
UNBUFFERED = "proxy_buffering off;"

LUA_HTTP = """
    lua_package_path "{scripts}/?.lua;/usr/share/lua/5.1/?.lua;;";
    lua_shared_dict buckets 10m;
    init_by_lua_block {{
        local gateway = require "gateway"
        gateway.keys["{digest}"] = {{ client = "acme", tier = "pro" }}
        gateway.tiers.pro = {{ rate = 8000000, burst = 500000000 }}
        gateway.tiers.address = {{ rate = 5000000, burst = 5000000 }}
    }}
    log_format audit escape=json '{{"time":"$time_iso8601","request_id":"$request_id",'
        '"reason":"$reason","status":$status,"client":"$client","tier":"$tier",'
        '"remote_addr":"$remote_addr","method":"$request_method","path":"$uri",'
        '"duration":$request_time,"upstream":"$upstream_addr",'
        '"upstream_status":"$upstream_status","upstream_time":"$upstream_response_time",'
        '"bytes_in":$request_length,"bytes_out":$bytes_sent}}';
"""

LUA_LOCATION = """
            set $client ""; set $tier ""; set $reason "";
            access_by_lua_block { require("gateway").access() }
            header_filter_by_lua_block { require("gateway").header_filter() }
            access_log access.log audit;
"""


def sha256_for_lua(text):
    """The digest as a string of Lua."""
    return "".join(f"\\x{byte:02x}" for byte in hashlib.sha256(text.encode()).digest())
