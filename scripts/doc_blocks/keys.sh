# shellcheck shell=bash
# What pages take for granted: some clients, and their keys.
set -euo pipefail
new() { tollgate key create --quiet --file /etc/nginx/tollgate/keys.json "$@"; }
new --id k_7Qm2 --client acme --tier pro >acme.key
new --id k_9aTz --client globex --tier pro >globex.key
new --id k_3LpW --client initech --tier free --expires 5d >initech.key
cp "$TEMPLATES/jwks.json" "$TEMPLATES/signing.pem" .
cp "$TEMPLATES/jwks.json" /etc/nginx/tollgate/jwks.json
tollgate jwt issue --key signing.pem --client acme --tier pro --expires 8h >token
cp "$TEMPLATES/cert.pem" batch.pem
cp "$TEMPLATES/cert.pem" build.pem
cp "$TEMPLATES/seal.key" /etc/tollgate/seal.key
