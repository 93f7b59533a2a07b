#!/bin/bash
# make install and make uninstall of a built tree, into a folder of its own: what arrives,
# that an edited configuration is never touched, that nothing else stays behind, and that
# the installed programs are hardened.
# Arguments: the source folder and the build folder.
set -euo pipefail

[ $# = 2 ] || { echo "usage: $0 SOURCE BUILD" >&2; exit 2; }
source=$(realpath "$1")
build=$(realpath "$2")
root=$(mktemp -d "${TMPDIR:-/tmp}/cloudbus-install.XXXXXX")
trap 'rm -rf "$root"' EXIT
conf=$root/etc/cloudbus
programs=("$root/usr/bin/controller" "$root/usr/bin/segment" "$root/usr/bin/cloudbus")
count=0

# ok WHAT COMMAND...: one check.
ok() {
	local what=$1
	shift
	"$@" || { echo "install: NOT so: $what" >&2; exit 1; }
	count=$((count + 1))
	echo "install: $what"
}

# Given at this time, the folders count for what is installed, whatever configure was told.
run_make() {
	make -C "$build" "$@" DESTDIR="$root" prefix=/usr sysconfdir=/etc >/dev/null
}

# is_file MODE FILE...
is_file() {
	local mode=$1 file
	shift
	for file; do
		if [ "$(stat -c '%F %a' "$file")" != "regular file $mode" ]; then
			echo "not a file of mode $mode: $file" >&2
			return 1
		fi
	done
}

# installed_pages: every manual page of the source is where man looks for it.
installed_pages() {
	local page
	for page in "$source"/man/*.[1-9]; do
		cmp "$page" "$root/usr/share/man/man${page##*.}/${page##*/}" || return
	done
}

# left: everything in the folder but folders, sorted.
left() {
	(cd "$root" && find . ! -type d | LC_ALL=C sort | tr '\n' ' ')
}

run_make install
ok "programs arrive" is_file 755 "${programs[@]}"
ok "configurations arrive" is_file 644 "$conf/controller.ini" "$conf/segment.ini"
ok "controller.ini is the source's" cmp "$source/etc/controller.ini" "$conf/controller.ini"
ok "segment.ini is the source's" cmp "$source/etc/segment.ini" "$conf/segment.ini"
ok "manual pages arrive" installed_pages
for program in controller segment; do
	ok "the unit file of $program arrives" cmp "$source/etc/cloudbus-$program.service" \
		"$root/usr/share/doc/cloudbus/cloudbus-$program.service"
done
for program in controller segment; do
	ok "the installed $program says its version" "$root/usr/bin/$program" --version
	ok "the installed $program takes its configuration" \
		"$root/usr/bin/$program" -t -c "$conf/$program.ini"
done
ok "the installed cloudbus says its version" "$root/usr/bin/cloudbus" --version
ok "the installed cloudbus makes a bus" "$root/usr/bin/cloudbus" init "$root/bus"
rm -r "$root/bus"
ok "the programs are hardened" "$source/tests/hardening" "${programs[@]}"

cat >"$root/edited" <<-'END'
	[mine]
	bind=tcp://127.0.0.1:4000
	server=tcp://192.0.2.1:4001
END
cp "$root/edited" "$conf/controller.ini"
chmod 600 "$conf/controller.ini"
rm "$conf/segment.ini"
run_make install
ok "a second install leaves the edited file alone" cmp "$root/edited" "$conf/controller.ini"
ok "and its mode" is_file 600 "$conf/controller.ini"
ok "and brings back the missing one" cmp "$source/etc/segment.ini" "$conf/segment.ini"
rm "$conf/segment.ini"
ln -s /nowhere/segment.ini "$conf/segment.ini"
run_make install
ok "a link to nowhere stays a link" [ "$(readlink "$conf/segment.ini")" = /nowhere/segment.ini ]
rm "$conf/segment.ini"
run_make install

run_make uninstall
ok "uninstall leaves the edited file" cmp "$root/edited" "$conf/controller.ini"
rm "$root/edited"
ok "and nothing else" [ "$(left)" = "./etc/cloudbus/controller.ini " ]
rm "$conf/controller.ini"
run_make install
run_make uninstall
ok "uninstall of what nobody edited leaves nothing" [ -z "$(left)" ]
ok "nor the configurations' folder" [ ! -e "$conf" ]
run_make install-strip
ok "stripped programs are hardened" "$source/tests/hardening" "${programs[@]}"
echo "install: $count checks passed"
