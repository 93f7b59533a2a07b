# shellcheck shell=bash
# Sourced (bash) by tests/run.sh and examples/quickstart.sh: Debian packages, and a copy of
# the source to build from.  It exits only where its contract says so.

# say WORD...: one line to the user.
say() {
	printf '%s\n' "$*"
}

# die WORD...: one line of what went wrong, and the end.
die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# as_root COMMAND...: runs it as root, through sudo where that is needed.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# packages_missing PACKAGE...: prints those that are not installed.
packages_missing() {
	local package
	for package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			printf '%s ' "$package"
	done
}

# packages_install LOG PACKAGE...: installs what is missing; exits if it cannot.  Servers
# among the packages are not started: a policy says so for as long as this takes, if the
# machine has none of its own.  What apt-get says goes to LOG.
packages_install() {
	local log=$1 missing policy=/usr/sbin/policy-rc.d policy_is_ours=no status=0
	shift
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		say "This is no Debian: nothing is installed; it needs what Debian calls $*"
		return
	fi
	missing=$(packages_missing "$@")
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
		die "not root and no sudo; as root: apt-get install $missing"
	fi
	say "Installing with apt-get: $missing"
	as_root true || die "sudo refuses; as root: apt-get install $missing"
	if [ ! -e "$policy" ]; then
		policy_is_ours=yes
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
		as_root chmod 755 "$policy"
	fi
	# A list that cannot be fetched need not be one of those that matter.
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -o DPkg::Lock::Timeout=300 -q update </dev/null >>"$log" 2>&1 ||
		say "apt-get update reported errors (see below if the next step fails)"
	# $missing is a list of words.
	# shellcheck disable=SC2086
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -q -y \
		--no-install-recommends install $missing </dev/null >>"$log" 2>&1 || status=$?
	[ "$policy_is_ours" = no ] || as_root rm -f "$policy"
	if [ "$status" != 0 ]; then
		tail -n 20 "$log" >&2
		die "apt-get could not install: $missing"
	fi
}

# source_copy FROM TO: the sources in FROM, without what was ever built there, to the new
# folder TO, with a fresh configure.  Returns non-zero if that fails.
source_copy() {
	local from=$1 to=$2 git=(git -C "$1" -c "safe.directory=*")
	mkdir "$to" || return
	if command -v git >/dev/null && [ -e "$from/.git" ] &&
		"${git[@]}" rev-parse --git-dir >/dev/null 2>&1; then
		# Files git knows or would add, as they are now; a deleted one is left out.
		"${git[@]}" ls-files -z --cached --others --exclude-standard |
			(cd "$from" && while IFS= read -r -d '' file; do
				if [ -e "$file" ]; then printf '%s\0' "$file"; fi
			done | tar --null --no-recursion -cf - -T -) |
			tar -xf - -C "$to"
	else
		tar -cf - -C "$from" --exclude=./.git --exclude=./autom4te.cache . |
			tar -xf - -C "$to"
	fi || return
	(
		cd "$to" || exit
		if [ -e Makefile ]; then
			make distclean || exit
		fi
		autoreconf -fi
	)
}
