#!/usr/bin/env bash
# c1m-top beside other programs, as docs/comparison.md shows it. Linux, loopback only, in a network namespace of its own.
#
#   benches/peers/run.sh [connections]    # holding connections, then the cost of watching a million sockets
#   SOCKETS=200000 benches/peers/run.sh   # fewer to watch (a million take 4 GiB of memory)
#
# Programs, by their Debian packages: nginx-light haproxy wrk nghttp2-client nodejs python3 htop btop atop iproute2 util-linux;
# from crates: bottom. What is not there is left out with a line that says so. The counts are for `ulimit -Hn` 20000.
set -u
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin
if [ -z "${C1M_PEERS_INSIDE:-}" ]; then
    bin=${BIN:-$here/../../target/release/c1m-top}
    [ -x "$bin" ] || { echo "build it first: cargo build --release" >&2; exit 1; }
    user=; [ "$(id -u)" = 0 ] || user=--map-root-user
    BIN=$bin C1M_PEERS_INSIDE=1 exec unshare --net $user "$0" "$@"
fi
ip link set lo up
# Room for one destination port: a search among few free ports would be the kernel's cost, not the program's.
echo "10000 65000" >/proc/sys/net/ipv4/ip_local_port_range
# What a killed program leaves would take the next one's ports: its TIME_WAIT made connecting four times as expensive.
echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets
ulimit -Sn "$(ulimit -Hn)"
many=${1:-18000}
few=2000
beyond=30000
port=7000
work=$(mktemp -d)
started=()
trap 'end_all; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Starts a program in the background, silently; its process id is then in $started_pid.
start() {
    "$@" >"$work/said" 2>&1 </dev/null &
    started_pid=$!
    started+=("$started_pid")
    command="$*"
}

# The command of the last start, as one would type it.
typed() { echo "$command" | sed "s|$BIN|c1m-top|g; s|$here/||g; s| -p $work||; s|$work/||g"; }

# A process and its descendants.
tree() {
    local child
    echo "$1"
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do tree "$child"; done
}

# Ends what was started, and waits for it.
end_all() {
    local pid
    for pid in "${started[@]}"; do kill -KILL $(tree "$pid") 2>/dev/null; wait "$pid" 2>/dev/null; done
    started=()
}

# TCP sockets of this namespace, without a fork.
sockets() {
    local line words
    while IFS= read -r line; do
        if [[ $line == TCP:* ]]; then words=($line); inuse=${words[2]}; fi
    done </proc/net/sockstat
}

# Nanoseconds of CPU of a process tree: all threads, user and system.
cpu() {
    local pid ns rest sum=0 file
    for pid in $(tree "$1"); do
        for file in /proc/"$pid"/task/*/schedstat; do
            { read -r ns rest <"$file" && sum=$((sum + ns)); } 2>/dev/null
        done
    done
    echo "$sum"
}

# Resident memory of a process tree, KiB; shared pages count once for each process that has them, as in ps(1).
rss() {
    local pid sum=0 kib
    for pid in $(tree "$1"); do
        kib=$(awk '/^VmRSS:/ { print $2 }' /proc/"$pid"/status 2>/dev/null)
        sum=$((sum + ${kib:-0}))
    done
    echo "$sum"
}

# Microseconds, whatever the locale's decimal sign.
now() { echo "${EPOCHREALTIME//[.,]/}"; }

# Sleeps without a fork: reads a pipe that nobody writes to.
exec {silence}<> <(:)
nap() { read -rt "$1" -u "$silence" || true; }

serve() {
    case $1 in
    c1m-top) start "$BIN" --server --listen 127.0.0.1 --port $port --ports 1 --output text ;;
    nginx) start nginx -e stderr -p "$work" -c "$here/nginx.conf" ;;
    haproxy) start haproxy -f "$here/haproxy.cfg" ;;
    asyncio) start python3 "$here/hold.py" server $port ;;
    node) start node "$here/hold.js" server $port ;;
    esac
}

connect() {
    case $1 in
    c1m-top) start "$BIN" --client 127.0.0.1 $port --ports 1 --target "$2" --no-guard --output text ;;
    wrk) start wrk -t 2 -c "$2" -d 1h -s "$here/idle.lua" http://127.0.0.1:$port/ ;;
    h2load)
        printf '3600000\thttp://127.0.0.1:%s/\n' $port >"$work/timing"
        start h2load --h1 -t 2 -c "$2" --timing-script-file="$work/timing"
        ;;
    asyncio) start python3 "$here/hold.py" client $port "$2" ;;
    node) start node "$here/hold.js" client $port "$2" ;;
    esac
}

# One run: server, client, count, seconds to wait. Sets rate, server_ns, client_ns (CPU), server_kib, client_kib (memory), held
# (connections, by the kernel's count of sockets), server_command, client_command.
run() {
    local server client base first=0 t0=0 t1 most=0 until s0 waited=0
    serve "$1"
    server=$started_pid server_command=$(typed)
    sockets
    # Listening, and settled.
    while [ "$inuse" = 0 ] && [ $waited -lt 100 ]; do nap 0.05; sockets; waited=$((waited + 1)); done
    nap 0.5
    sockets
    base=$inuse
    s0=$(cpu "$server")
    until=$(($(now) + $4 * 1000000))
    connect "$2" "$3"
    client=$started_pid client_command=$(typed)
    while :; do
        sockets
        t1=${EPOCHREALTIME//[.,]/}
        if [ "$t0" = 0 ] && [ "$inuse" -gt "$base" ]; then t0=$t1; first=$inuse; fi
        [ "$inuse" -gt "$most" ] && most=$inuse
        if [ "$inuse" -ge $((base + 2 * $3)) ] || [ "$t1" -gt $until ]; then break; fi
        nap 0.004
    done
    # What was accepted late is part of the cost, and what settles part of the memory.
    nap 1
    sockets
    [ "$inuse" -gt "$most" ] && most=$inuse
    held=$(((most - base) / 2))
    rate=$(((most - first) / 2 * 1000000 / (t1 - t0 + 1)))
    server_ns=$(($(cpu "$server") - s0))
    client_ns=$(cpu "$client")
    server_kib=$(rss "$server")
    client_kib=$(rss "$client")
    end_all
    # The next run finds an empty namespace.
    sockets
    while [ "$inuse" != 0 ]; do nap 0.05; sockets; done
}

median() { sort -n | sed -n 3p; }

version() {
    case $1 in
    c1m-top) "$BIN" --version ;;
    nginx) nginx -v 2>&1 | sed 's/.*: //' ;;
    haproxy) haproxy -v | awk 'NR == 1 { print "HAProxy " $3 }' ;;
    wrk) wrk -v 2>&1 | awk 'NR == 1 { sub(".*/", "", $2); print "wrk " $2 }' ;;
    h2load) h2load --version ;;
    asyncio) echo "asyncio, $(python3 --version 2>&1)" ;;
    node) echo "node $(node --version)" ;;
    htop) htop --version | head -1 ;;
    btop) btop --version | sed 's/ version://' ;;
    btm) btm --version ;;
    atop) atop -V | sed 's/^Version: \([^ ]*\).*/atop \1/' ;;
    proc) echo "wc, as an example" ;;
    ss) ss -V | sed 's/ss utility, iproute2-\([^,]*\).*/ss, iproute2 \1/' ;;
    esac
}

# What a program can and cannot do, beside the figures.
can() {
    case "$1 $2" in
    "c1m-top client") echo "any count: a descriptor table for each worker; ramp, pace, hold, messages, source addresses; plain TCP alone" ;;
    "wrk client") echo "HTTP/1.1 load and latency; idle only by this script; one descriptor table, no source addresses, no pace of connecting" ;;
    "h2load client") echo "HTTP/1.1, HTTP/2, TLS; a rate of connecting; idle only by a timing file; one descriptor table, no source addresses" ;;
    "asyncio client" | "node client") echo "whatever one writes; one descriptor table a process" ;;
    "c1m-top server") echo "any count: a descriptor table for each worker; echoes, and nothing else" ;;
    "nginx server") echo "a real HTTP server; a descriptor table for each worker process, so more workers hold more" ;;
    "haproxy server") echo 'a real proxy; one table, and it plans two descriptors a connection: without `no strict-limits` it does not start for so many' ;;
    "asyncio server" | "node server") echo "whatever one writes; one descriptor table a process" ;;
    "c1m-top watch") echo "sockets, connections of both ends, the cost of one, limits and forecasts; no list of processes, disks or links" ;;
    "htop watch") echo "processes and cores; no socket count" ;;
    "btop watch") echo "processes, cores, disks, links, graphs; no socket count" ;;
    "btm watch") echo "processes, cores, disks, links, sensors, graphs; no socket count" ;;
    "atop watch") echo "processes, cores, disks, links, recordings, TCP opens and memory of TCP buffers; no socket count" ;;
    "ss watch") echo "the count of sockets by state, once; no memory, no limits" ;;
    "ss list") echo "every connection with its addresses, and timers and memory on request, which no other row can; its price grows with the count" ;;
    "proc list") echo "how programs without netlink list connections" ;;
    esac
}

have() {
    case $1 in
    c1m-top) return 0 ;;
    asyncio) command -v python3 >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac || { echo "skipped: $1 is not installed" >&2; return 1; }
}

# A row: which program, in which role; the other end is always c1m-top. Costs are slopes from few to many connections, so that
# what a program takes for itself at its start is left out.
row() {
    local name=$1 role=$2 server=c1m-top client=c1m-top few_kib few_ns per_s=() ns=() kib=0 i got peak typed
    if [ "$role" = server ]; then server=$name; else client=$name; fi
    have "$name" || return
    run $server $client $few 30
    if [ "$role" = server ]; then few_kib=$server_kib few_ns=$server_ns; else few_kib=$client_kib few_ns=$client_ns; fi
    for i in 1 2 3 4 5; do
        run $server $client "$many" 60
        per_s+=("$rate")
        if [ "$role" = server ]; then ns+=("$server_ns") kib=$server_kib; else ns+=("$client_ns") kib=$client_kib; fi
        got=$held
    done
    if [ "$role" = server ]; then typed=$server_command; else typed=$client_command; fi
    run $server $client $beyond 10
    peak=$held
    printf '| %s | `%s` | %s | %s | %s | %s | %s | %s | %s |\n' "$(version "$name")" "$typed" "$got" \
        "$(printf '%s\n' "${per_s[@]}" | median)" \
        "$(awk "BEGIN { printf \"%.1f\", ($(printf '%s\n' "${ns[@]}" | median) - $few_ns) / 1000 / ($many - $few) }")" \
        $(((kib - few_kib) * 1024 / (many - few))) "$(awk "BEGIN { printf \"%.1f\", $kib / 1024 }")" "$peak" \
        "$(can "$name" "$role")"
}

holding() {
    echo "| program | command | held of $many | connections/s | CPU, us/connection | memory, B/connection | RSS, MiB | held of $beyond | what it can and cannot do |"
    echo "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    local name
    for name in c1m-top wrk h2load asyncio node; do row $name client; done
    for name in c1m-top nginx haproxy asyncio node; do row $name server; done
}

# A program on a terminal of 120x40 for 13 s, the last 10 s counted, a refresh a second.
terminal() {
    local label=$1 last
    shift
    have "$label" || return
    start env HOME="$work" TERM=xterm-256color script -qfc "stty rows 40 cols 120; exec $*" /dev/null
    last=$started_pid
    nap 3
    # script(1) starts a shell that becomes the program.
    watched "$label" "$*" "$(tree "$last" | sed -n 2p)"
    kill -KILL $(tree "$last") 2>/dev/null
    wait "$last" 2>/dev/null
    unset 'started[-1]'
}

# The row of a running process, without its children.
watched() {
    local c0 c1 t0 t1
    c0=$(own_cpu "$3") t0=$(now)
    nap 10
    c1=$(own_cpu "$3") t1=$(now)
    # Nanoseconds over microseconds: ten times the percentage, and the milliseconds of a refresh each second.
    printf '| %s | `%s` | %s | %s | %s ms CPU | %s |\n' "$(version "$1")" "$2" \
        "$(awk "BEGIN { printf \"%.2f\", ($c1 - $c0) / ($t1 - $t0) / 10 }")" \
        "$(awk '/^VmRSS:/ { printf "%.1f", $2 / 1024 }' /proc/"$3"/status)" \
        "$(awk "BEGIN { printf \"%.1f\", ($c1 - $c0) / ($t1 - $t0) }")" "$(can "$1" watch)"
}

# CPU of one process without its children, nanoseconds.
own_cpu() {
    local ns rest sum=0 file
    for file in /proc/"$1"/task/*/schedstat; do read -r ns rest <"$file" && sum=$((sum + ns)); done
    echo "$sum"
}

# The row of a command that prints once and ends: run so many times, each at most a minute. The share is that of once a second.
once() {
    local label=$1 kind=$2 times=$3 t0 t1 c
    shift 3
    t0=$(now)
    TIMEFORMAT='%U %S'
    c=$({ time timeout 60 bash -c "for _ in {1..$times}; do $*; done" >"$work/said" 2>&1; } 2>&1 | awk '{ print $1 + $2 }')
    t1=$(now)
    printf '| %s | `%s` | %s | | %s | %s |\n' "$(version "$label")" "${*//|/\\|}" \
        "$(awk "BEGIN { printf \"%.2f\", $c / $times * 100 }")" \
        "$(awk "BEGIN { s = ($t1 - $t0) / 1000000; if (s >= 60) print \"over 60 s\"; else printf \"%.3f s\", s / $times }")" \
        "$(can "$label" "$kind")"
}

watching() {
    local target=$((${SOCKETS:-1000000} / 2)) waited=0
    local run="--server --client 127.0.0.1 9900 --target $target"
    start env TERM=xterm-256color script -qfc "stty rows 40 cols 120; exec $BIN $run" /dev/null
    sockets
    while [ "$inuse" -lt $((2 * target)) ] && [ $waited -lt 600 ]; do nap 0.1; sockets; waited=$((waited + 1)); done
    nap 5
    sockets
    echo "Sockets held: $inuse"
    echo
    echo "| program | command | % of a core | RSS, MiB | one refresh | what it can and cannot do |"
    echo "| --- | --- | ---: | ---: | --- | --- |"
    # Its engines are children, and not counted: they are what is watched.
    watched c1m-top "c1m-top $run" "$(tree "${started[0]}" | sed -n 2p)"
    mkdir -p "$work/.config/btop"
    echo 'update_ms = 1000' >"$work/.config/btop/btop.conf"
    terminal htop htop -d 10
    terminal btop btop
    terminal btm btm -r 1s
    terminal atop atop 1
    once ss watch 10 'ss -s'
    once ss list 1 'ss -tan state established | tail -1'
    once proc list 1 'wc -l </proc/net/tcp'
}

echo "Linux $(uname -r | cut -d. -f1,2), $(nproc) cores, $(awk '/MemTotal/ { printf "%.1f", $2 / 1048576 }' /proc/meminfo) GiB, hard RLIMIT_NOFILE $(ulimit -Hn), load before: $(cut -d' ' -f1 /proc/loadavg)"
echo
if [ "${ONLY:-holding}" = holding ]; then holding; echo; fi
if [ "${ONLY:-watching}" = watching ]; then watching; fi
