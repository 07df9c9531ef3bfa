#!/usr/bin/env bash
# Tries the scripts of deploy/compose without containers: certificates.sh on folders instead of volumes, client-files.sh with a docker-compose that
# reads them, and the cluster test's queries.sh with a Prometheus that refuses some.
#
#   tests/deploy/compose.sh FOLDER      of the program innerloop
# Exit code 77: skipped.
set -euo pipefail
programs=$(cd "$1" && pwd)
tree=$(cd "$(dirname "$0")/../.." && pwd)
for program in jq openssl; do
  command -v $program >/dev/null || { echo "SKIPPED: $program is missing; deploy/setup.sh installs it"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "$*" >&2; exit 1; }
export CERTS=$work/certs PATH=$work/bin:$programs:$PATH
mkdir -p "$work/bin" "$CERTS"/{authority,coordinator,worker,user}

# ---- certificates.sh

certificates() { "$tree/deploy/compose/certificates.sh" "${1:-localhost,coordinator,}" >/dev/null || fail "certificates.sh ${1:-}"; }
state() { (cd "$CERTS" && sha256sum ./*/*.pem); }
hosts() { innerloop certs show "$CERTS/coordinator/cert.pem" --format=json | jq -r '.hosts | join(" ")'; }
serves() {
  local role
  for role in coordinator worker user; do
    openssl verify -CAfile "$CERTS/authority/ca.pem" "$CERTS/$role/cert.pem" >/dev/null || fail "$1: the $role's certificate is another authority's"
    [ "$(openssl x509 -in "$CERTS/$role/cert.pem" -noout -pubkey)" = "$(openssl pkey -in "$CERTS/$role/key.pem" -pubout)" ] ||
      fail "$1: the $role's key is another's"
    cmp "$CERTS/$role/ca.pem" "$CERTS/authority/ca.pem" || fail "$1"
  done
}

certificates
serves "the first time"
before=$(state)
certificates
[ "$(state)" = "$before" ] || fail "a second time changes something"

certificates localhost,coordinator,train.example.org
[[ " $(hosts) " == *" train.example.org "* ]] || fail "another host is not among '$(hosts)'"
serves "with another host"
[ "$(grep -c -v coordinator/ <(diff <(printf '%s\n' "$before") <(state) | grep '^[<>]') || true)" -eq 0 ] || fail "another host changes more than the coordinator's"
certificates

for missing in key.pem cert.pem ca.pem; do
  rm "$CERTS/worker/$missing"
  certificates
  serves "after the worker's $missing was missing"
done
# Killed between the authority's key and its certificate.
rm "$CERTS"/*/*.pem
innerloop certs init "$CERTS/authority" >/dev/null
rm "$CERTS/authority/ca.pem"
certificates
serves "after a half-made authority"
# The key is kept elsewhere.
before=$(state | grep -v ca-key)
mv "$CERTS/authority/ca-key.pem" "$work"
certificates
[ "$(state)" = "$before" ] || fail "without its key the authority is made anew"
mv "$work/ca-key.pem" "$CERTS/authority"

# ---- client-files.sh

cat >"$work/bin/docker-compose" <<'END'
#!/bin/sh
# run ... -C /certs/ROLE -c ca.pem cert.pem key.pem
while [ "$1" != -C ]; do shift; done
exec tar -C "$CERTS/${2#/certs/}" -c ca.pem cert.pem key.pem
END
chmod +x "$work/bin/docker-compose"
mkdir "$work/here"
cd "$work/here"
"$tree/deploy/compose/client-files.sh" mine | grep -q "$work/here/mine" || fail "it does not say where the files are"
cmp mine/key.pem "$CERTS/user/key.pem" || fail "a relative folder does not hold the files"
"$tree/deploy/compose/client-files.sh" mine >/dev/null || fail "a second time is refused"
"$tree/deploy/compose/client-files.sh" elsewhere worker | grep -q -- "--tls-cert cert.pem" || fail "it does not say how a worker elsewhere is started"
cmp elsewhere/key.pem "$CERTS/worker/key.pem" || fail "a worker's folder does not hold the worker's files"
if "$tree/deploy/compose/client-files.sh" mine coordinator 2>/dev/null; then fail "the coordinator's key is given away"; fi
HOME=$work/home "$tree/deploy/compose/client-files.sh" >/dev/null || fail "without a folder it fails"
cmp "$work/home/.config/innerloop/cert.pem" "$CERTS/user/cert.pem" || fail "the client's own folder does not hold the files"
rm "$CERTS"/*/*.pem
certificates
kept=$(sha256sum mine/*)
if "$tree/deploy/compose/client-files.sh" mine 2>"$work/refused"; then fail "another authority's certificates are written over"; fi
[ "$(sha256sum mine/*)" = "$kept" ] || fail "another authority's certificates are changed"
[ "$(wc -l <"$work/refused")" -eq 1 ] && grep -q "another authority" "$work/refused" || fail "the refusal says: $(cat "$work/refused")"

# ---- tests/cluster/queries.sh

cat >"$work/bin/curl" <<'END'
#!/bin/sh
case "$*" in
  */rules*) echo '{"status": "success", "data": {"groups": [{"rules": [{"name": "r", "health": "ok", "query": "up == 0"}]}]}}' ;;
  *"$REFUSED"*) echo '{"status": "error", "error": "parse error"}' ;;
  *) echo '{"status": "success", "data": {"result": [{}]}}' ;;
esac
END
chmod +x "$work/bin/curl"
REFUSED="no such query" "$tree/tests/cluster/queries.sh" http://prometheus >/dev/null || fail "queries.sh fails although every query has a series"
for refused in "innerloop_meta_loss" "up =="; do
  if REFUSED=$refused "$tree/tests/cluster/queries.sh" http://prometheus >/dev/null 2>"$work/refused"; then fail "queries.sh takes a refused '$refused'"; fi
  grep -q "refused: parse error" "$work/refused" || fail "queries.sh does not say what Prometheus says"
done
echo "the scripts do what they should"
