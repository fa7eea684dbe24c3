#!/bin/sh
# The control's outside: a throwaway network namespace wired to a far end in another one, and a process of another user.
# Nothing leaves the machine. Run by stage.ts as root (or as root of an own user namespace, where there is no other user), in mount,
# pid, net, uts and ipc namespaces of its own.
# Usage: outside.sh READYFILE RESOLVER OTHERUID COMMAND...
set -e
ready=$1 resolver=$2 other=$3
shift 3
here=$(dirname "$0")
ip link set lo up
echo '0 0' > /proc/sys/net/ipv4/ping_group_range
setpriv --reuid "$other" --regid "$other" --clear-groups sleep 60 2>/dev/null &
unshare --net perl "$here/far.pl" "$ready" &
far=$!
while [ ! -e "$ready" ]; do sleep 0.01; done
ip link add wire type veth peer name far
ip link set far netns "$far"
nsenter --net="/proc/$far/ns/net" sh -e -c '
  ip link set lo up
  ip link set far up
  for address in 8.8.8.8 169.254.169.254 "$1"; do ip address add "$address/32" dev lo; done
  ip -6 address add 2001:4860:4860::8888/128 dev lo
  ip address add 203.0.113.1/24 dev far
  ip -6 address add 2001:db8::1/64 dev far nodad' sh "$resolver"
ip address add 203.0.113.2/24 dev wire
ip -6 address add 2001:db8::2/64 dev wire nodad
ip link set wire up
ip route add default via 203.0.113.1
ip -6 route add default via 2001:db8::1
"$@"
