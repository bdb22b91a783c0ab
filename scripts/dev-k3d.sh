#!/usr/bin/env bash
# The development loop (edit, rebuild, webhook called) against a k3d cluster: docker and k3d are needed.
#
#   scripts/dev-k3d.sh           makes cluster fairlead-dev, runs `pepr dev` against it, deletes it at the end
#   scripts/dev-k3d.sh --print   only prints the commands
#
# Its syntax and its printed commands are checked, but it is not run by this project's tests: they have no docker.
set -euo pipefail
cd "$(dirname "$0")/.."

name=fairlead-dev
print_only=false
case "${1:-}" in
  '') ;;
  --print) print_only=true ;;
  *)
    echo "usage: scripts/dev-k3d.sh [--print]" >&2
    exit 2
    ;;
esac

# Two agents in two zones, so that Services become topology-aware. The user's own kubeconfig is left alone.
create=(
  k3d cluster create "$name" --agents 2 --wait
  --k3s-arg '--disable=traefik@server:0'
  --k3s-node-label 'topology.kubernetes.io/zone=zone-a@agent:0'
  --k3s-node-label 'topology.kubernetes.io/zone=zone-b@agent:1'
  --kubeconfig-update-default=false --kubeconfig-switch-context=false
)
kubeconfig=(k3d kubeconfig get "$name")
# k3d's nodes reach this machine under this name; pepr's certificate is made for it.
loop=(npx pepr dev --host host.k3d.internal --yes)
delete=(k3d cluster delete "$name")

if $print_only; then
  # Of these words, none needs quotes.
  echo "${create[*]}"
  echo "mkdir -p ~/.kube && ${kubeconfig[*]} > ~/.kube/fairlead-dev"
  echo "KUBECONFIG=~/.kube/fairlead-dev LOG_LEVEL=info ${loop[*]}"
  echo "${delete[*]}"
  exit 0
fi

for program in docker k3d; do
  if ! command -v "$program" >/dev/null; then
    echo "$program is not installed. \`npm run dev\` needs neither docker nor k3d." >&2
    exit 1
  fi
done

directory=$(mktemp -d)
end() {
  "${delete[@]}" || true
  rm -rf "$directory" insecure-tls.crt insecure-tls.key
}
trap end EXIT

"${create[@]}"
"${kubeconfig[@]}" >"$directory/kubeconfig"
chmod 600 "$directory/kubeconfig"
export KUBECONFIG="$directory/kubeconfig"
echo "export KUBECONFIG=$KUBECONFIG"
# pepr dev's own default is debug, which prints whole objects, Secrets included.
export LOG_LEVEL="${LOG_LEVEL:-info}"
"${loop[@]}"
