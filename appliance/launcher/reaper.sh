#!/bin/sh
# Outlives the launcher, however that ends: its standard input is the launcher's pipe, and the end of it starts the sweep.
# Usage: reaper.sh NODE SWEEP INSTANCE RUN
trap '' INT TERM HUP
cat >/dev/null
exec "$@"
