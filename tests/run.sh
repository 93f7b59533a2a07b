#!/bin/bash
# Installs what the tests need (Debian packages, as root or with sudo; servers among them
# are not started), builds in a temporary folder and passes all tests.
#
#   tests/run.sh [--quick] [--keep] [--no-packages] [STEP...]
#
# --quick        only: gcc libsodium install
# --keep         keep the temporary folder, with every build and every log
# --no-packages  install nothing
#
# The steps, by default all of them in this order:
#
#   gcc         build with --enable-development; unit tests, simulation, fuzz corpora
#   libsodium   build without libcrypto; the unit tests of src/crypto
#   install     make install and uninstall, an edited configuration, the hardening
#   quickstart  examples/quickstart.sh
#   e2e         the programs over real sockets, with real clients and servers
#   clang       as gcc, with clang
#   warnings    gcc and clang have no complaint with -O0 and with -O3 either
#   sanitizers  as gcc, with AddressSanitizer and UndefinedBehaviorSanitizer
#   e2e-san     e2e, of that build
#   dist        make distcheck
#
# It prints what the test runners say at their end, and exits with 0 only if all passed.
set -euo pipefail

top=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tests/setup.sh
. "$top/tests/setup.sh"

readonly ALL=(gcc libsodium install quickstart e2e clang warnings sanitizers e2e-san dist)
readonly QUICK=(gcc libsodium install)
readonly BUILD_PACKAGES=(gcc libc6-dev binutils make autoconf automake pkg-config
	libc-ares-dev libsodium-dev libssl-dev libjansson-dev libinih-dev libseccomp-dev
	libmicrohttpd-dev check groff-base)
readonly TEST_PACKAGES=(clang xz-utils curl openssl python3 python3-pytest
	python3-pytest-xdist python3-cryptography iproute2 redis-server redis-tools
	postgresql postgresql-client faketime strace)

steps=()
keep=no
packages=yes
for arg; do
	case $arg in
	--quick) steps=("${QUICK[@]}") ;;
	--keep) keep=yes ;;
	--no-packages) packages=no ;;
	-h | --help)
		sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
		exit 0
		;;
	*)
		[[ " ${ALL[*]} " == *" $arg "* ]] || die "no step $arg; see --help"
		steps+=("$arg")
		;;
	esac
done
[ ${#steps[@]} != 0 ] || steps=("${ALL[@]}")

# Nobody answers questions here, and the caller's flags are not what is tested.
unset MAKEFLAGS MFLAGS MAKELEVEL CC CFLAGS CPPFLAGS LDFLAGS
jobs=$(nproc)
failed=()
table=""
work=$(mktemp -d "${TMPDIR:-/tmp}/cloudbus-tests.XXXXXX")
source=$work/source

# What a failure needs to be understood is the logs; the builds are large.
cleanup() {
	local status=$?
	trap - EXIT
	if [ $keep = yes ]; then
		say "Kept: $work"
	elif [ "$status" != 0 ] && compgen -G "$work/*.log" >/dev/null; then
		find "$work" -mindepth 1 -maxdepth 1 ! -name '*.log' -exec rm -rf {} +
		say "Logs: $work"
	else
		rm -rf "$work"
	fi
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# --- steps: each runs with set -e in a subshell, its output in a log ----------------------

# build NAME CONFIGURE_ARGUMENT...: builds in $work/NAME unless that was done.
build() {
	local name=$1
	shift
	[ ! -e "$work/$name/built" ] || return 0
	mkdir "$work/$name"
	cd "$work/$name"
	"$source/configure" --enable-development "$@"
	make -j "$jobs"
	touch built
}

build_gcc() {
	build gcc CC=gcc CFLAGS='-O2 -g'
}

build_sanitizers() {
	build sanitizers CC=gcc CFLAGS='-O1 -g' --enable-sanitizers
}

# check NAME: all of make check but the end-to-end tests, which have a step of their own
# and the machine for themselves there.
check() {
	cd "$work/$1"
	CLOUDBUS_DOCS_REQUIRE=1 make -j "$jobs" check E2E_TESTS=
}

# e2e NAME: every tool the end-to-end tests want must be there.  Most of their time is waiting,
# so several are on their way at once.
e2e() {
	cd "$work/$1"
	make tests/bench/tunlink
	CLOUDBUS_E2E_REQUIRE=1 "$source/tests/e2e/run" -n $((2 * jobs))
}

step_gcc() {
	build_gcc
	check gcc
}

# The other engine of src/crypto, as where there is no libcrypto.
step_libsodium() {
	local tests
	build libsodium CC=gcc CFLAGS='-O2 -g' --with-aead=libsodium
	tests=$(sed -n 's/^TESTS += //p' "$source/tests/unit/crypto.mk" | tr '\n' ' ')
	# Only these: check would build all of them first.
	# shellcheck disable=SC2086
	make -j "$jobs" $tests
	make check-TESTS TESTS="$tests"
}

step_install() {
	build_gcc
	"$source/tests/install.sh" "$source" "$work/gcc"
}

step_quickstart() {
	"$source/examples/quickstart.sh"
}

step_e2e() {
	build_gcc
	e2e gcc
}

step_clang() {
	build clang CC=clang CFLAGS='-O2 -g'
	check clang
}

# Warnings are errors: it is enough that everything compiles.  -k: all that do not are named.
step_warnings() {
	local cc level
	for cc in gcc clang; do
		for level in 0 3; do
			build "$cc-O$level" CC=$cc CFLAGS="-O$level"
			make -k -j "$jobs" check TESTS=
		done
	done
}

step_sanitizers() {
	build_sanitizers
	check sanitizers
}

step_e2e-san() {
	build_sanitizers
	CLOUDBUS_E2E_PATIENCE=${CLOUDBUS_E2E_PATIENCE:-3} e2e sanitizers
}

step_dist() {
	mkdir "$work/dist"
	cd "$work/dist"
	"$source/configure"
	make -j "$jobs" distcheck E2E_TESTS= DISTCHECK_CONFIGURE_FLAGS=--enable-development
	# The archive has the end-to-end tests too, all of them: the same are found in it.
	tar -xf cloudbus-*.tar.xz
	diff -r -x __pycache__ "$source/tests/e2e" cloudbus-*/tests/e2e
}

# --- what the runners said ----------------------------------------------------------------

# closing_lines STEP: of Check (a line a suite), automake, pytest, and the install test.
closing_lines() {
	local log name=$1
	case $name in
	gcc | libsodium | clang | sanitizers)
		for log in "$work/$name"/tests/*/*.log; do
			[ ! -e "$log" ] || sed -n "s|^\([0-9]*%: Checks: .*\)|${log##*/}: \1|p" "$log"
		done
		;;
	esac
	case $name in
	gcc | libsodium | clang | sanitizers | dist)
		sed -n '/^# TOTAL/,/^# ERROR/p; / archives ready for distribution/,$p' "$work/$name.log"
		;;
	e2e*)
		grep -E '^(FAILED|ERROR|SKIPPED) |^[0-9]+ (passed|failed|error|skipped).* in |NOT RUN' \
			"$work/$name.log" || :
		;;
	install | quickstart)
		tail -n 1 "$work/$name.log"
		;;
	esac
}

# failure STEP: the end of its log, and the logs of the tests that failed.
failure() {
	local log
	echo "--- the end of $1.log"
	tail -n 60 "$work/$1.log"
	log=$work/$1/test-suite.log
	[ ! -e "$log" ] || { echo "--- ${log##*/}" && tail -n 200 "$log"; }
	echo "---"
}

# run STEP
run() {
	local name=$1 begin=$SECONDS status=0 took
	say "==> $name"
	# Not part of a condition: there set -e would not count.
	set +e
	(
		set -e
		"step_$name"
	) >"$work/$name.log" 2>&1 </dev/null
	status=$?
	set -e
	took=$((SECONDS - begin))
	closing_lines "$name" | sed 's/^/    /'
	if [ $status = 0 ]; then
		table+=$(printf '%-12s passed  %4d s' "$name" $took)$'\n'
	else
		failed+=("$name")
		table+=$(printf '%-12s FAILED  %4d s' "$name" $took)$'\n'
		failure "$name"
	fi
}

# --- all of it ----------------------------------------------------------------------------

if [ $packages = yes ]; then
	need=("${BUILD_PACKAGES[@]}")
	if [ "${steps[*]}" != "${QUICK[*]}" ]; then
		need+=("${TEST_PACKAGES[@]}")
	fi
	packages_install "$work/packages.log" "${need[@]}"
fi
source_copy "$top" "$source" >"$work/autoreconf.log" 2>&1 || {
	cat "$work/autoreconf.log" >&2
	die "cannot copy the source and make configure"
}
for step in "${steps[@]}"; do
	run "$step"
done
say
printf '%s' "$table"
if [ ${#failed[@]} = 0 ]; then
	say "All passed in $SECONDS s."
else
	say "FAILED: ${failed[*]}"
	exit 1
fi
