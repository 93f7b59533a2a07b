#!/bin/bash
# Cloudbus in one command: builds it in a temporary folder, runs a controller, two segments
# and two HTTP servers on this machine's loopback, sends real traffic through them, says
# what happened, and leaves nothing behind but the Debian packages it had to install (as
# root, or with sudo).  Nothing else is installed.
set -euo pipefail

top=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tests/setup.sh
. "$top/tests/setup.sh"

readonly PACKAGES=(gcc libc6-dev make autoconf automake pkg-config libc-ares-dev
	libsodium-dev libssl-dev libjansson-dev libinih-dev libseccomp-dev libmicrohttpd-dev
	python3 curl)
readonly DEADLINE=30 # seconds for anything that is waited for
readonly TRIES=20    # how often what another program may spoil is begun anew

case ${1-} in
'') ;;
-h | --help)
	say "Usage: ${0##*/}"
	sed -n '2,/^[^#]/s/^# //p' "${BASH_SOURCE[0]}"
	exit 0
	;;
*)
	die "takes no arguments"
	;;
esac

work=$(mktemp -d "${TMPDIR:-/tmp}/cloudbus-quickstart.XXXXXX")
pids=()

# --- processes: every one is a child of this shell and known by its pid -----------------

# start NAME COMMAND...: in the background, with NAME.log; its pid in $started.  It dies
# with this script even if that is killed.
start() {
	local log=$work/$1.log
	shift
	: >"$log" # there at once for those who look into it
	setpriv --pdeathsig KILL -- "$@" </dev/null >>"$log" 2>&1 &
	started=$!
	pids+=("$started")
}

# end SIGNAL PID...: ends children and waits for them, by force when they take too long;
# their pids are nobody's then.  The last one's exit status.
end() {
	local signal=$1 pid left=() status=0
	shift
	for pid in "${pids[@]}"; do
		[[ " $* " == *" $pid "* ]] || left+=("$pid")
	done
	for pid; do
		kill "-$signal" "$pid" 2>/dev/null || :
	done
	for pid; do
		wait_until $DEADLINE gone "$pid" || kill -KILL "$pid" 2>/dev/null || :
		status=0
		wait "$pid" 2>/dev/null || status=$?
	done
	pids=(${left[@]+"${left[@]}"})
	return "$status"
}

# gone PID: it runs no more (a zombie does not run).
gone() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	[[ ${stat##*) } == Z* ]]
}

# wait_until SECONDS COMMAND...: until the command succeeds; fails at the deadline.
wait_until() {
	local until=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $until ] || return 1
		sleep 0.05
	done
}

# The nodes end before the servers, and all before the folder goes.
cleanup() {
	local status=$?
	trap - EXIT
	trap '' INT TERM HUP
	if [ "$status" != 0 ]; then
		local log
		for log in "$work"/*.log; do
			[ ! -s "$log" ] || { echo "--- the end of ${log##*/}" && tail -n 15 "$log"; } >&2
		done
	fi
	[ ${#pids[@]} = 0 ] || end KILL "${pids[@]}" || :
	rm -rf "$work"
	[ "$status" = 0 ] || echo "${0##*/}: failed; everything was stopped and removed" >&2
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# --- build --------------------------------------------------------------------------------

packages_install "$work/packages.log" "${PACKAGES[@]}"
say "Building in $work (nothing is installed from it)"
{
	source_copy "$top" "$work/source" &&
		mkdir "$work/build" && cd "$work/build" &&
		"$work/source/configure" --disable-tests && make -j "$(nproc)"
} >"$work/build.log" 2>&1 </dev/null || die "the build failed"
cd "$work"
build=$work/build

# --- two web servers ----------------------------------------------------------------------

# port_of LOG: the port that a Python web server says it has got from the kernel.
port_of() {
	local port
	port=$(sed -n 's/^Serving HTTP on .* port \([0-9]*\) .*/\1/p' "$1")
	[ -n "$port" ] && echo "$port"
}

web_ports=()
for number in one two; do
	mkdir "www-$number"
	echo "This is web server $number." >"www-$number/who"
	start "web-$number" python3 -u -m http.server 0 --bind 127.0.0.1 \
		--protocol HTTP/1.1 --directory "$work/www-$number"
	wait_until $DEADLINE port_of "web-$number.log" >port || die "web server $number did not start"
	web_ports+=("$(cat port)")
done
cp "$build/controller" www-one/controller
head -c 64M /dev/urandom >www-one/64M
say "Two web servers run:      one at 127.0.0.1:${web_ports[0]}, two at 127.0.0.1:${web_ports[1]}"

# --- a controller and two segments --------------------------------------------------------

# free_ports NUMBER: ports that are free now; another program may take one before we do.
free_ports() {
	python3 -c '
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in sockets))' "$1"
}

# node_settled LOG PID: it is ready, or it is gone.
node_settled() {
	grep -q ' ready: ' "$1" || gone "$2"
}

# start_nodes: true if all three are ready.
start_nodes() {
	local ports name
	read -r -a ports < <(free_ports 4)
	one=127.0.0.1:${ports[0]} two=127.0.0.1:${ports[1]}
	files=127.0.0.1:${ports[2]} ask=127.0.0.1:${ports[3]}
	printf '[web]\nbind=tcp://%s\nserver=tcp://127.0.0.1:%s\n' "$one" "${web_ports[0]}" >segment-one.ini
	printf '[web]\nbind=tcp://%s\nserver=tcp://127.0.0.1:%s\n' "$two" "${web_ports[1]}" >segment-two.ini
	cat >controller.ini <<-END
		[files]
		bind=tcp://$files
		server=tcp://$one

		[ask]
		bind=tcp://$ask
		server=tcp://$one
		server=tcp://$two
		mode=half duplex
	END
	nodes=()
	for name in segment-one segment-two controller; do
		start "$name" "$build/${name%-*}" -c "$work/$name.ini"
		nodes+=("$started")
	done
	wait_until $DEADLINE node_settled segment-one.log "${nodes[0]}" || return
	wait_until $DEADLINE node_settled segment-two.log "${nodes[1]}" || return
	wait_until $DEADLINE node_settled controller.log "${nodes[2]}" || return
	grep -q ' ready: ' segment-one.log && grep -q ' ready: ' segment-two.log &&
		grep -q ' ready: ' controller.log
}

for ((try = 1; ; try++)); do
	if start_nodes; then break; fi
	# only a port that somebody else took in between is worth another try
	if [ $try = $TRIES ] || ! grep -q 'Address already in use' segment-*.log controller.log; then
		die "the nodes did not start"
	fi
	end TERM "${nodes[@]}" || :
done
say "Two segments run:         at $one, before server one, and $two, before server two"
say "A controller runs:        [files] at $files leads to segment one,"
say "                          [ask] at $ask to both segments, half duplex"
say "Its configuration is:"
sed 's/./    &/' controller.ini

# --- traffic ------------------------------------------------------------------------------

# fetch ARGUMENT...: curl without the user's settings and proxies.
fetch() {
	curl -q --silent --show-error --fail --noproxy '*' --max-time $((4 * DEADLINE)) "$@"
}

for file in controller 64M; do
	fetch --output "got-$file" "http://$files/$file" || die "curl could not fetch $file"
	want=$(sha256sum <"www-one/$file")
	got=$(sha256sum <"got-$file")
	[ "$got" = "$want" ] || die "$file came through changed: SHA-256 $got, not $want"
	say "Fetched through the bus:  $file, $(stat -c %s "got-$file") bytes, SHA-256 ${got:0:16}..., the same as the original"
done

# seen SERVER TEXT: the server has logged a request with it.
seen() {
	grep -q "GET /who?$2 " "web-$1.log"
}

# both_saw TEXT
both_saw() {
	seen one "$1" && seen two "$1"
}

# Both web servers get the first request and both answer; the first answer latches the
# session, and the second request, on the same connection, goes to the winner alone.  The
# loser is closed at that moment, which may be before it has read the request: try again.
for ((try = 1; ; try++)); do
	[ $try -le $TRIES ] || die "no request reached both web servers in $TRIES tries"
	fetch "http://$ask/who?first=$try" "http://$ask/who?second=$try" >answers ||
		die "curl got no answer from the fan-out"
	if wait_until 2 both_saw "first=$try"; then break; fi
done
for winner in one two none; do
	cat "www-$winner/who" "www-$winner/who" 2>/dev/null | cmp -s - answers && break
done
case $winner in
one) loser=two ;;
two) loser=one ;;
*) die "the answers are not twice the same server's: $(cat answers)" ;;
esac
seen "$winner" "second=$try" || die "the winner did not get the second request"
say "Asked the fan-out:        one connection, two requests"
say "  the first request:      reached both web servers"
say "  the first answer:       \"$(head -n 1 answers)\" - server $winner was the first to answer,"
say "                          the session latched to it, and server $loser was cut off"

# --- the end ------------------------------------------------------------------------------

for node in "${nodes[@]}"; do
	end TERM "$node" || die "a node did not end well: exit status $?"
done
! seen "$loser" "second=$try" || die "server $loser got the second request, after the latch"
say "  the second request:     reached server $winner alone"
end TERM "${pids[@]}" || :
say "Stopped the nodes:        each drained its sessions and exited with status 0"
say "Cleaned up.  All of it worked."
