#!/usr/bin/env bash
# Checks Prometheus's configuration, runs the unit tests of the rules, and sees that each alert has some and a section on what to do.
# Exit code 77: skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v promtool >/dev/null || { echo "SKIPPED: promtool is missing; deploy/setup.sh installs it (Debian's package prometheus)"; exit 77; }
promtool check config deploy/prometheus/prometheus.yml
promtool test rules tests/deploy/prometheus/alerts_test.yml
alerts=$(sed -n 's/^ *- alert: //p' deploy/prometheus/rules/alerts.yml)
[ -n "$alerts" ] || { echo "deploy/prometheus/rules/alerts.yml holds no alerts" >&2; exit 1; }
failed=0
complain() { echo "$*" >&2; failed=1; }
for alert in $alerts; do
  grep -q "{ eval_time: .*, alertname: $alert }" tests/deploy/prometheus/alerts_test.yml || complain "$alert: no test that it does not fire"
  grep -q "^ *alertname: $alert$" tests/deploy/prometheus/alerts_test.yml || complain "$alert: no test that it fires"
  grep -q "^### $alert$" docs/operations.md || complain "$alert: no section in docs/operations.md"
  grep -q "runbook: docs/operations.md#${alert,,}$" deploy/prometheus/rules/alerts.yml || complain "$alert: its runbook is not its section"
done
echo "$(wc -w <<<"$alerts") alerts, each with tests and a section in docs/operations.md"
exit $failed
