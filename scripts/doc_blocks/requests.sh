# shellcheck shell=bash
# Some requests, so that there are clients to list, and a log to report on.
set -euo pipefail
log=/var/log/nginx/tollgate-audit.log
# They take some time, as reports leave columns of zeros out.
chat() {
    local name=$1 model=$2 stream=$3
    shift 3
    curl -sS -o /dev/null http://127.0.0.1:8080/v1/chat/completions -H "Authorization: Bearer $(<"$name.key")" \
        -H 'Content-Type: application/json' -H 'X-Mock-Latency-Ms: 5' -d '{"model":"'"$model"'","stream":'"$stream"',"messages":[{"role":"user","content":"Hello you"}]}' "$@"
}
chat acme llama-3.1-8b true
chat acme llama-3.1-70b false -H 'X-Mock-Cached-Tokens: 1'
chat globex llama-3.1-8b true
chat initech llama-3.1-8b false
curl -sS -o /dev/null -H 'Authorization: Bearer wrong' http://127.0.0.1:8080/v1/models || [[ $? == 22 ]]
cp "$log" audit.log
cp audit.log audit.log.1
gzip -c audit.log >audit.log.2.gz
# What the engine says nothing of, what is cut off, and what has no price.
chat globex llama-3.1-8b false -H 'X-Mock-Usage: none'
chat globex llama-3.1-8b true -H 'X-Mock-Cut-After: 2' || true
chat initech qwen-new false
tail -n 3 "$log" >odd.log
