#!/usr/bin/env bash
# Writes the names of the Secrets that a shoot's API servers use now into its HostedAPIServer. To be run again after a
# rotation, by a CronJob say; fairlead serves the last good copies meanwhile. It reads names and labels, never a value.
#
#   name-secrets.sh <namespace> [<HostedAPIServer>]
#
# Needs kubectl, and rights to list Secrets in the namespace and to patch the HostedAPIServer.
set -euo pipefail

namespace=${1:?usage: name-secrets.sh <namespace> [<HostedAPIServer>]}
hosted=${2:-kube-apiserver}

# The youngest that the secrets manager keeps under a name: an older one is a predecessor within a rotation.
newest() {
  local found
  found=$(kubectl --namespace="$namespace" get secrets --sort-by=.metadata.creationTimestamp --no-headers \
    --selector="managed-by=secrets-manager,manager-identity=gardenlet,name=$1" \
    --output=custom-columns=NAME:.metadata.name | tail -n 1)
  if [[ -z $found ]]; then
    echo "Namespace $namespace has no Secret of Gardener's secrets manager with label name=$1." >&2
    exit 1
  fi
  echo "$found"
}

server=$(newest kube-apiserver)
server_ca=$(newest ca-bundle)
client_ca=$(newest ca-client-bundle)
front_proxy=$(newest ca-front-proxy)

kubectl --namespace="$namespace" patch hostedapiserver "$hosted" --type=merge --patch="{\"spec\":{\"certificates\":{
  \"server\":{\"secretName\":\"$server\"},
  \"serverCA\":{\"secretName\":\"$server_ca\",\"key\":\"bundle.crt\"},
  \"clientCA\":{\"secretName\":\"$client_ca\",\"key\":\"bundle.crt\"},
  \"proxyClient\":{\"issuer\":{\"secretName\":\"$front_proxy\"}}}}}"
