#!/bin/sh
# Makes the work pool and registers the deployments of deploy/prefect.yaml; may be repeated. Run from the repository's
# root with PREFECT_API_URL, PREFECT_API_AUTH_STRING and GMTSCREEN_HOME set.
set -eu
: "${PREFECT_API_URL:?name the server: http://host:4200/api}"
: "${GMTSCREEN_HOME:?name the folder of gmtscreen where the workers run}"
prefect --no-prompt work-pool create gmtscreen --type process --overwrite
prefect --no-prompt deploy --all --prefect-file deploy/prefect.yaml
