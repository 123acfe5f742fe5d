#!/bin/sh
# Starts a cluster over ssh: ssh.sh HOSTS APP
#
# HOSTS is a file with a host on each line. The scheduler runs on the first one, and a worker on each. APP is a program that
# calls init() of holdall-ballista. Prints the address of the cluster. `ssh.sh HOSTS APP stop` ends it.
#
# HOLDALL_SLOTS, HOLDALL_MEMORY and HOLDALL_SPILL_DIR are passed on. SSH, SCP and PORT change the commands and the port.
set -eu

hosts=$1 app=$2 action=${3:-start}
ssh=${SSH:-ssh} scp=${SCP:-scp} port=${PORT:-50050}
directory=.holdall-cluster
first=$(head -n 1 "$hosts")

# Runs a command on each host.
on_each() {
    while read -r host; do
        [ -z "$host" ] || "$@" "$host"
    done < "$hosts"
}

# The program ends when it receives SIGTERM, a worker after its tasks.
stop() {
    $ssh "$1" "for pid in \$(cat $directory/*.pid 2>/dev/null); do kill \$pid 2>/dev/null || true; done; rm -rf $directory" \
        < /dev/null
}

copy() {
    $ssh "$1" "umask 077; mkdir -p $directory" < /dev/null
    $scp -q "$app" "$1:$directory/app"
    $scp -q "$token" "$1:$directory/token"
}

# Starts a role on a host: run HOST ROLE VARIABLES
run() {
    # The directory for files is that of the host.
    $ssh "$1" "cd $directory || exit; HOLDALL_ROLE=$2 HOLDALL_TOKEN_FILE=\$PWD/token $3 \
        nohup ./app < /dev/null > $2.log 2>&1 & echo \$! > $2.pid" < /dev/null
}

start_worker() {
    variables="HOLDALL_SCHEDULER=$first:$port HOLDALL_BIND=0.0.0.0"
    for name in HOLDALL_SLOTS HOLDALL_MEMORY HOLDALL_SPILL_DIR; do
        eval "value=\${$name:-}"
        [ -z "$value" ] || variables="$variables $name=$value"
    done
    run "$1" worker "$variables"
}

if [ "$action" = stop ]; then
    on_each stop
    exit
fi
token=${HOLDALL_TOKEN_FILE:-token}
[ -e "$token" ] || (umask 077; openssl rand -hex 32 > "$token")
on_each copy
run "$first" scheduler "HOLDALL_BIND=0.0.0.0:$port"
on_each start_worker
echo "HOLDALL_TOKEN_FILE=$token HOLDALL_EXECUTOR=ballista://$first:$port"
