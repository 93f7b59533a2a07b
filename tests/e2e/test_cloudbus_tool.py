"""The administrator's program: the files it makes, and what it says."""

import base64
import ctypes
import json
import os
import re
import resource
import shlex
import shutil
import stat
import subprocess
import time

import pytest

from daemon import command, environment, run


@pytest.fixture
def tool(tmp_path):
    """tool("init", "bus"): runs it in an empty folder, under a umask that hides nothing."""
    def call(*args, status=0):
        done = run("cloudbus", *args, cwd=tmp_path, umask=0)
        assert done.returncode == status, done.stdout + done.stderr
        assert done.stderr or status not in (64, 78)
        return done
    call.folder = tmp_path
    return call


@pytest.fixture
def made(tool):
    """The same, with a bus in the folder bus."""
    tool("init", "bus", "--name", "example")
    return tool


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def fields(path):
    """A key file's fields: a list of values for each name."""
    found = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            name, value = line.split(" ", 1)
            found.setdefault(name, []).append(value)
    return found


def unbase64(text):
    assert re.fullmatch(r"[A-Za-z0-9_-]*", text)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def openssl_says(tmp_path, need, key, message, signature):
    """Whether OpenSSL takes the Ed25519 signature; it knows nothing of our code."""
    prefix = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: SubjectPublicKeyInfo
    for name, content in ("key", prefix + key), ("message", message), ("signature", signature):
        (tmp_path / f"openssl.{name}").write_bytes(content)
    return subprocess.run(
        [need("openssl"), "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER",
         "-inkey", "openssl.key", "-in", "openssl.message", "-sigfile", "openssl.signature"],
        cwd=tmp_path, capture_output=True, check=False).returncode == 0


def claims_of(path):
    header, claims, _ = path.read_text().rstrip("\n").split(".")
    assert json.loads(unbase64(header)) == {"alg": "EdDSA", "typ": "JWT"}
    return json.loads(unbase64(claims))


# --- init -----------------------------------------------------------------------------------

def test_init_makes_a_bus(tool):
    done = tool("init", "bus", "--name", "example")
    folder = tool.folder / "bus"
    assert mode(folder) == 0o700
    assert sorted(os.listdir(folder)) == ["cluster.key", "trust"]
    assert mode(folder / "cluster.key") == 0o600 and mode(folder / "trust") == 0o600
    key, trust = fields(folder / "cluster.key"), fields(folder / "trust")
    assert key["cloudbus-cluster-key"] == ["1"] and trust["cloudbus-trust"] == ["1"]
    assert key["bus"] == trust["bus"] == ["example"]
    secrets = key["secret-key"] + trust["network-secret"]
    assert [len(unbase64(s)) for s in secrets] == [32, 32]
    assert not any(secret in done.stdout for secret in secrets)


def test_init_takes_the_name_of_the_folder(tool):
    tool("init", "acme")
    assert fields(tool.folder / "acme" / "trust")["bus"] == ["acme"]
    (tool.folder / "there").mkdir(0o700)
    done = run("cloudbus", "init", ".", cwd=tool.folder / "there")
    assert done.returncode == 0
    assert fields(tool.folder / "there" / "trust")["bus"] == ["there"]


def test_two_buses_have_nothing_in_common(tool):
    tool("init", "a", "--name", "x")
    tool("init", "b", "--name", "x")
    for file in "cluster.key", "trust":
        a, b = fields(tool.folder / "a" / file), fields(tool.folder / "b" / file)
        for name in a.keys() - {"bus", "cloudbus-cluster-key", "cloudbus-trust"}:
            assert a[name] != b[name], name


@pytest.mark.parametrize("there", ["cluster.key", "trust"])
def test_init_never_overwrites(tool, there):
    folder = tool.folder / "bus"
    folder.mkdir()
    (folder / there).write_text("mine")
    done = tool("init", "bus", status=1)
    assert f"bus/{there}" in done.stderr and "already" in done.stderr
    assert os.listdir(folder) == [there] and (folder / there).read_text() == "mine"


def test_init_refuses_a_bad_name_and_leaves_no_folder(tool):
    done = tool("init", "my bus", status=64)
    assert "--name" in done.stderr
    tool("init", "x", "--name", "a/b", status=64)
    assert os.listdir(tool.folder) == []


def test_init_warns_of_a_folder_that_others_may_write(tool):
    (tool.folder / "bus").mkdir()
    (tool.folder / "bus").chmod(0o777)
    assert "chmod 700 bus" in tool("init", "bus").stderr


# --- issue ----------------------------------------------------------------------------------

def test_a_token_is_a_standard_jwt(made, need):
    before = int(time.time())
    made("issue", "-d", "bus", "seg-1", "--role", "segment", "--serve", "web", "--serve", "db-*",
         "--customer", "acme", "--ttl", "12h")
    folder = made.folder / "bus"
    assert mode(folder / "seg-1.key") == 0o600 and mode(folder / "seg-1.token") == 0o600
    claims = claims_of(folder / "seg-1.token")
    assert claims["iss"] == "example" and claims["sub"] == "seg-1"
    assert claims["role"] == "segment" and claims["customer"] == "acme"
    assert claims["serve"] == ["web", "db-*"] and claims["open"] == []
    assert before <= claims["nbf"] <= int(time.time())
    assert claims["exp"] == claims["nbf"] + 12 * 3600
    assert re.fullmatch("[0-9a-f]{32}", claims["jti"])
    jwk = claims["cnf"]["jwk"]
    assert {k: v for k, v in jwk.items() if k != "x"} == {"kty": "OKP", "crv": "X25519"}
    assert len(unbase64(jwk["x"])) == 32
    assert set(claims) == {"iss", "sub", "cnf", "role", "customer", "serve", "open", "nbf",
                           "exp", "jti"}
    # the signature, by somebody else's code
    text = (folder / "seg-1.token").read_text().rstrip("\n")
    message, signature = text.rsplit(".", 1)
    key = unbase64(fields(folder / "trust")["cluster-key"][0])
    say = openssl_says
    assert say(made.folder, need, key, message.encode(), unbase64(signature))
    assert not say(made.folder, need, key, message.encode() + b"x", unbase64(signature))


def test_the_public_key_is_that_of_the_secret_one(made, need):
    """By OpenSSL, which makes the public half of the X25519 key itself."""
    made("issue", "-d", "bus", "n", "--role", "controller", "--open", "*")
    secret = unbase64(fields(made.folder / "bus" / "n.key")["secret-key"][0])
    (made.folder / "der").write_bytes(bytes.fromhex("302e020100300506032b656e04220420") + secret)
    done = subprocess.run([need("openssl"), "pkey", "-inform", "DER", "-in", "der", "-pubout",
                           "-outform", "DER"], cwd=made.folder, capture_output=True, check=True)
    jwk = claims_of(made.folder / "bus" / "n.token")["cnf"]["jwk"]
    assert done.stdout[-32:] == unbase64(jwk["x"])


def test_a_token_is_not_replaced_unless_told_and_a_key_is_not_by_force(made):
    issue = ["issue", "-d", "bus", "n", "--role", "segment", "--serve", "a"]
    made(*issue)
    key = (made.folder / "bus" / "n.key").read_text()
    token = (made.folder / "bus" / "n.token").read_text()
    done = made(*issue, status=1)
    assert "bus/n.token" in done.stderr and "--force" in done.stderr
    assert (made.folder / "bus" / "n.token").read_text() == token
    made(*issue, "--force")
    assert (made.folder / "bus" / "n.token").read_text() != token
    assert (made.folder / "bus" / "n.key").read_text() == key
    assert sorted(os.listdir(made.folder / "bus")) == ["cluster.key", "n.key", "n.token", "trust"]


def test_a_node_of_the_name_cluster_would_have_the_key_of_the_bus(made):
    for name in "cluster", "Cluster":
        made("issue", "-d", "bus", name, "--role", "segment", status=64)


@pytest.mark.parametrize("role,without", [("segment", "--serve"), ("controller", "--open")])
def test_without_patterns_it_says_that_the_node_may_do_nothing(made, role, without):
    done = made("issue", "-d", "bus", "n", "--role", role)
    assert "nothing" in done.stdout and f"{without} '*'" in done.stdout
    claims = claims_of(made.folder / "bus" / "n.token")
    assert claims["serve"] == [] and claims["open"] == []


def test_issue_for_a_key_made_elsewhere(made):
    made("keygen", "far.key")
    assert mode(made.folder / "far.key") == 0o600 and mode(made.folder / "far.key.pub") == 0o600
    made("issue", "-d", "bus", "far", "--role", "segment", "--serve", "*", "--public",
         "far.key.pub")
    jwk = claims_of(made.folder / "bus" / "far.token")["cnf"]["jwk"]
    assert jwk["x"] == fields(made.folder / "far.key.pub")["public-key"][0]
    assert not (made.folder / "bus" / "far.key").exists()


def test_a_secret_key_is_not_taken_for_a_public_one(made):
    made("keygen", "far.key")
    done = made("issue", "-d", "bus", "far", "--role", "segment", "--public", "far.key", status=78)
    assert "far.key:3:" in done.stderr and "cloudbus-node-public" in done.stderr
    assert not (made.folder / "bus" / "far.token").exists()


@pytest.mark.parametrize("ttl,seconds", [("1m", 60), ("36h", 36 * 3600), (None, 90 * 86400),
                                         ("3650d", 3650 * 86400)])
def test_ttl(made, ttl, seconds):
    made("issue", "-d", "bus", "n", "--role", "segment", *(["--ttl", ttl] if ttl else []))
    claims = claims_of(made.folder / "bus" / "n.token")
    assert claims["exp"] - claims["nbf"] == seconds


@pytest.mark.parametrize("args,word", [
    (["n"], "--role"),
    (["--role", "segment"], "name of one node"),
    (["n", "m", "--role", "segment"], "quote"),
    (["n", "--role", "master"], "controller or segment"),
    (["a/b", "--role", "segment"], "letters"),
    (["n", "--role", "segment", "--serve", "a*b"], "at the end"),
    (["n", "--role", "segment", "--customer", ""], "letters"),
    (["n", "--role", "segment", "--ttl", "90"], "a number and s, m, h or d, from 1m to 3650d"),
    (["n", "--role", "segment", "--ttl", "60000ms"], "a number and s, m, h or d"),
    (["n", "--role", "segment", "--ttl", "60000MS"], "a number and s, m, h or d"),
    (["n", "--role", "segment", "--ttl", "3651d"], "3650d"),
    (["n", "--role", "segment", "--ttl", "59s"], "1m"),
    (["n", "--role", "segment", "--nonsense"], "nonsense"),
    (["n", "--role", "segment", *["--open", "x"] * 65], "64"),
], ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None)
def test_a_wrong_command_line_makes_nothing(made, args, word):
    done = made("issue", "-d", "bus", *args, status=64)
    assert word in done.stderr and "--help" in done.stderr and done.stdout == ""
    assert sorted(os.listdir(made.folder / "bus")) == ["cluster.key", "trust"]


def test_too_many_long_patterns_are_refused(made):
    patterns = [word for i in range(20) for word in ("--serve", f"{i:0255d}")]
    done = made("issue", "-d", "bus", "n", "--role", "segment", *patterns, status=1)
    assert "4096" in done.stderr
    assert sorted(os.listdir(made.folder / "bus")) == ["cluster.key", "trust"]


@pytest.mark.parametrize("command_line", [
    ["init", "other"], ["issue", "-d", "bus", "n", "--role", "segment"], ["keygen", "k"]],
    ids=lambda line: line[0])
def test_a_limit_on_the_size_of_files_leaves_nothing_behind(made, command_line):
    def no_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    done = run("cloudbus", *command_line, cwd=made.folder, preexec_fn=no_files)
    assert done.returncode == 1 and "cannot write: File too large" in done.stderr
    assert os.listdir(made.folder) == ["bus"]
    assert sorted(os.listdir(made.folder / "bus")) == ["cluster.key", "trust"]


@pytest.mark.parametrize("folder", ["my bus", "it's", "-bus", "a;b", "$HOME"])
def test_a_command_that_is_printed_can_be_typed(tool, folder):
    """Whatever the folder is called: the shell takes it for one word, and no option."""
    tool("init", "--name", "x", "--", folder)
    (tool.folder / folder).chmod(0o777)
    (tool.folder / folder / "trust").chmod(0o644)
    shown = tool("issue", f"--dir={folder}", "n", "--role", "segment", status=78).stderr
    assert type_it(tool, shown)
    assert mode(tool.folder / folder / "trust") == 0o600
    shown = tool("issue", f"--dir={folder}", "n", "--role", "segment").stderr
    assert type_it(tool, shown)
    assert mode(tool.folder / folder) == 0o700


def type_it(tool, shown):
    line = re.search(r"to mend it: (.*)", shown)[1]
    return subprocess.run(["sh", "-c", line], cwd=tool.folder, check=False).returncode == 0


def test_the_next_commands_after_init_can_be_typed(tool):
    shown = tool("init", "my bus", "--name", "x").stdout
    line = re.search(r"  cloudbus (issue .* segment .*)", shown)[1]
    done = run("cloudbus", *shlex.split(line.replace("NAME", "n")), cwd=tool.folder)
    assert done.returncode == 0, done.stderr
    assert (tool.folder / "my bus" / "n.token").exists()


# X25519 has these points of low order (RFC 7748, 6.1); the last are more than the prime, or
# have the bit set that is ignored.
LOW_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff" * 30 + "7f", "ed" + "ff" * 30 + "7f", "ee" + "ff" * 30 + "7f",
    "00" * 31 + "80", "ee" + "ff" * 31]


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_key_of_low_order_is_nobodys(made, need, point):
    """Neither is a token issued for it, nor is one valid that somebody else has signed."""
    key = base64.urlsafe_b64encode(bytes.fromhex(point)).rstrip(b"=").decode()
    (made.folder / "weak.pub").write_text(f"cloudbus-node-public 1\npublic-key {key}\n")
    done = made("issue", "-d", "bus", "n", "--role", "segment", "--public", "weak.pub", status=78)
    assert "weak.pub" in done.stderr and "public-key" in done.stderr
    assert sorted(os.listdir(made.folder / "bus")) == ["cluster.key", "trust"]
    made("issue", "-d", "bus", "seg-1", "--role", "segment", "--serve", "web")
    resign(made, need, lambda claims: claims["cnf"]["jwk"].update(x=key))
    done = made("token", "show", "bus/seg-1.token", status=78)
    assert "cnf.jwk.x: of low order" in done.stderr


@pytest.mark.parametrize("file", ["cluster.key", "trust"])
def test_a_secret_that_others_can_read_is_refused_with_what_mends_it(made, file):
    path = made.folder / "bus" / file
    path.chmod(0o640)
    done = made("issue", "-d", "bus", "n", "--role", "segment", status=78)
    command = re.search(r"to mend it: (chmod 600 \S+)", done.stderr)[1]
    subprocess.run(command.split(), cwd=made.folder, check=True)
    made("issue", "-d", "bus", "n", "--role", "segment")


def test_files_of_two_buses_do_not_mix(made):
    made("init", "other", "--name", "example")
    os.replace(made.folder / "other" / "trust", made.folder / "bus" / "trust")
    done = made("issue", "-d", "bus", "n", "--role", "segment", status=78)
    assert "bus/cluster.key" in done.stderr and "bus/trust" in done.stderr


def test_no_bus_there(tool):
    assert "cluster.key: cannot open" in tool(
        "issue", "-d", "none", "n", "--role", "segment", status=78).stderr


@pytest.mark.parametrize("cut", range(0, 250, 10))
def test_a_damaged_cluster_key_is_named(made, cut):
    path = made.folder / "bus" / "cluster.key"
    path.write_bytes(path.read_bytes()[:cut])
    secret = b"" if cut < 200 else path.read_bytes()[200:]
    done = made("issue", "-d", "bus", "n", "--role", "segment", status=78)
    assert "bus/cluster.key" in done.stderr
    assert not secret or secret.decode() not in done.stderr
    assert not (made.folder / "bus" / "n.key").exists()


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(made):
    """Nothing of what was begun is there; here the name of the token is a folder's."""
    (made.folder / "bus" / "n.token").mkdir()
    done = made("issue", "-d", "bus", "n", "--role", "segment", "--new-key", status=1)
    assert "bus/n.token: cannot write: Is a directory" in done.stderr
    assert sorted(os.listdir(made.folder / "bus")) == ["cluster.key", "n.token", "trust"]


# --- the key that a token is for --------------------------------------------------------------

FAR = ["issue", "-d", "bus", "far", "--role", "segment", "--serve", "*"]


def key_of_token(folder, name="far"):
    return claims_of(folder / "bus" / f"{name}.token")["cnf"]["jwk"]["x"]


def public(path):
    return fields(path)["public-key"][0]


@pytest.fixture
def far(made):
    """A node whose key was made elsewhere, and its token."""
    made("keygen", "k")
    made("keygen", "other")
    made(*FAR, "--public", "k.pub")
    return made


def everything(folder):
    return {path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def test_a_renewal_does_not_give_a_node_another_key(far):
    """The key is elsewhere: without --public there would be a new one, and a token for that."""
    before = everything(far.folder)
    for more in (["--force"], ["--force", "--public", "other.pub"]):
        done = far(*FAR, *more, status=1)
        assert "bus/far.token: is" in done.stderr and "--new-key" in done.stderr
        assert public(far.folder / "k.pub") in done.stderr
        assert everything(far.folder) == before
    assert "--public" in far(*FAR, "--force", status=1).stderr
    far(*FAR, "--force", "--public", "k.pub")
    assert key_of_token(far.folder) == public(far.folder / "k.pub")
    assert not (far.folder / "bus" / "far.key").exists()


def test_a_token_that_is_damaged_is_renewed_with_its_key_only(far):
    token = far.folder / "bus" / "far.token"
    token.write_text("nonsense")
    assert "--new-key" in far(*FAR, "--force", status=1).stderr
    assert os.listdir(far.folder / "bus").count("far.key") == 0
    far(*FAR, "--force", "--public", "k.pub")
    assert key_of_token(far.folder) == public(far.folder / "k.pub")


def test_a_key_that_is_here_is_not_silently_left_for_one_elsewhere(made):
    made("keygen", "k")
    made(*FAR)
    before = everything(made.folder)
    done = made(*FAR, "--force", "--public", "k.pub", status=1)
    assert "bus/far.key: " in done.stderr and "k.pub" in done.stderr
    assert "--new-key" in done.stderr and "leave out --public" in done.stderr
    assert everything(made.folder) == before
    done = made(*FAR, "--new-key", "--public", "k.pub")
    assert key_of_token(made.folder) == public(made.folder / "k.pub")
    assert "bus/far.key is another key, which the node has no more: remove it" in done.stdout
    # And what is left over is not taken for its key later.
    before = everything(made.folder)
    done = made(*FAR, "--force", status=1)
    assert "bus/far.token: is for another key" in done.stderr and "--public" in done.stderr
    assert everything(made.folder) == before
    os.remove(made.folder / "bus" / "far.token")
    made(*FAR)
    assert key_of_token(made.folder) != public(made.folder / "k.pub")


def test_the_same_key_by_its_public_half_is_no_other(made):
    made(*FAR)
    (made.folder / "k.pub").write_text("cloudbus-node-public 1\npublic-key "
                                       + key_of_token(made.folder) + "\n")
    made(*FAR, "--force", "--public", "k.pub")


@pytest.mark.parametrize("there", ["key and token", "token", "key", "nothing", "public"])
def test_a_new_key_is_given_where_it_is_asked_for(made, there):
    made("keygen", "k")
    if there != "nothing":
        made(*FAR, *(["--public", "k.pub"] if there == "public" else []))
    before = key_of_token(made.folder) if there != "nothing" else None
    if there in ("token", "key"):
        os.remove(made.folder / "bus" / ("far.key" if there == "token" else "far.token"))
    done = made(*FAR, "--new-key")
    assert "new; SECRET" in done.stdout and key_of_token(made.folder) != before
    made(*FAR, "--force")  # and it is that of far.key
    assert sorted(os.listdir(made.folder / "bus")) == ["cluster.key", "far.key", "far.token",
                                                       "trust"]


# --- keygen ---------------------------------------------------------------------------------

def test_keygen_overwrites_only_if_told(tool):
    tool("keygen", "k")
    before = (tool.folder / "k").read_text()
    assert "--force" in tool("keygen", "k", status=1).stderr
    os.remove(tool.folder / "k")
    tool("keygen", "k", status=1)  # the public half is there still
    assert os.listdir(tool.folder) == ["k.pub"]
    tool("keygen", "k", "--force")
    assert (tool.folder / "k").read_text() != before


@pytest.mark.parametrize("command_line", [
    ("keygen", "--force", "bus/cluster.key"), ("keygen", "-f", "bus/trust"),
    ("keygen", "-f", "bus/copy"), ("issue", "-d", "bus", "copy", "-r", "segment", "--new-key"),
    ("issue", "-d", "bus", "trust", "-r", "segment", "--new-key")])
def test_no_force_replaces_what_is_of_the_bus(made, command_line):
    """Neither under its own name nor another: all its tokens would end with it."""
    shutil.copy2(made.folder / "bus" / "trust", made.folder / "bus" / "trust.token")
    for name in "copy.key", "copy.pub":
        shutil.copy2(made.folder / "bus" / "cluster.key", made.folder / "bus" / name)
    before = everything(made.folder)
    assert "of the bus" in made(*command_line, status=1).stderr
    assert everything(made.folder) == before


@pytest.mark.parametrize("command_line", [
    ("keygen", "-f", "bus/cluster.key"),
    ("issue", "-d", "bus", "copy", "-r", "segment", "--new-key")], ids=lambda line: line[0])
def test_no_force_replaces_what_cannot_be_read(made, command_line):
    """To replace a file takes no right to read it; and it may be of the bus."""
    def read_as_anybody():
        for capability in 1, 2:  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, which root has
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    file = made.folder / "bus" / "copy.key"
    shutil.copy2(made.folder / "bus" / "cluster.key", file)
    if command_line[0] == "keygen":
        file = made.folder / "bus" / "cluster.key"
    before = everything(made.folder)
    file.chmod(0)
    done = run("cloudbus", *command_line, cwd=made.folder, preexec_fn=read_as_anybody)
    file.chmod(0o600)
    assert done.returncode == 1 and "Permission denied; it may be of the bus" in done.stderr
    assert everything(made.folder) == before


@pytest.mark.parametrize("blocked", ["k", "k.pub"])
def test_keygen_that_fails_leaves_the_old_key(tool, blocked):
    tool("keygen", "k")
    os.remove(tool.folder / blocked)
    (tool.folder / blocked).mkdir()
    before = everything(tool.folder)
    done = tool("keygen", "-f", "k", status=1)
    assert f"{blocked}: cannot write: Is a directory" in done.stderr
    assert everything(tool.folder) == before and len(os.listdir(tool.folder)) == 2


def test_a_link_is_replaced_not_followed(tool):
    (tool.folder / "target").write_text("mine")
    os.symlink("target", tool.folder / "k")
    tool("keygen", "k", status=1)
    tool("keygen", "k", "--force")
    assert (tool.folder / "target").read_text() == "mine"
    assert not (tool.folder / "k").is_symlink()


# --- token show -----------------------------------------------------------------------------

@pytest.fixture
def issued(made):
    made("issue", "-d", "bus", "seg-1", "--role", "segment", "--serve", "web", "--serve", "db-*")
    return made


def test_show_says_all_that_it_says(issued):
    claims = claims_of(issued.folder / "bus" / "seg-1.token")
    shown = issued("token", "show", "bus/seg-1.token").stdout
    for word in ("example", "seg-1, a segment", "web", "db-*", "nothing", claims["jti"],
                 claims["cnf"]["jwk"]["x"],
                 time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claims["exp"]))):
        assert word in shown
    assert "valid now; signed by the cluster key in bus/trust" in shown


def test_show_without_trust_does_not_pretend(issued):
    os.rename(issued.folder / "bus" / "seg-1.token", issued.folder / "seg-1.token")
    shown = issued("token", "show", "seg-1.token").stdout
    assert "NOT checked" in shown
    shown = issued("token", "show", "seg-1.token", "--trust", "bus/trust").stdout
    assert "valid now; signed by the cluster key in bus/trust" in shown


def test_show_says_why_not(issued):
    issued("init", "other", "--name", "example")
    shown = issued("token", "show", "bus/seg-1.token", "-t", "other/trust", status=1).stdout
    assert "NOT VALID NOW: signature: not made by the cluster key" in shown
    issued("init", "third")
    shown = issued("token", "show", "bus/seg-1.token", "-t", "third/trust", status=1).stdout
    assert "NOT VALID NOW: iss: " in shown and "example" in shown and "third" in shown
    jti = claims_of(issued.folder / "bus" / "seg-1.token")["jti"]
    for line, status in ("seg-1", 1), (jti.upper() + " # lost", 1), ("# seg-1\nseg-2", 0):
        (issued.folder / "revoked").write_text(line + "\n")
        shown = issued("token", "show", "bus/seg-1.token", "-r", "revoked", status=status).stdout
        assert ("NOT VALID NOW: it is on the list revoked" in shown) == bool(status)


def resign(issued, need, change):
    """seg-1.token with other claims, signed by the bus: what a careless issuer might make."""
    folder = issued.folder / "bus"
    claims = claims_of(folder / "seg-1.token")
    change(claims)
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
             for part in ({"alg": "EdDSA"}, claims)]
    secret = unbase64(fields(folder / "cluster.key")["secret-key"][0])
    (issued.folder / "der").write_bytes(bytes.fromhex("302e020100300506032b657004220420") + secret)
    (issued.folder / "message").write_bytes(b".".join(parts))
    done = subprocess.run([need("openssl"), "pkeyutl", "-sign", "-rawin", "-keyform", "DER",
                           "-inkey", "der", "-in", "message"],
                          cwd=issued.folder, capture_output=True, check=True)
    parts.append(base64.urlsafe_b64encode(done.stdout).rstrip(b"="))
    (folder / "seg-1.token").write_bytes(b".".join(parts))


def test_a_token_made_by_other_tools_is_read(issued, need):
    resign(issued, need, lambda claims: claims.update(sub="renamed", iat=1))
    assert "renamed, a segment" in issued("token", "show", "bus/seg-1.token").stdout


@pytest.mark.parametrize("begin,end,word", [(-3600, -60, "exp: expired"),
                                            (3600, 7200, "nbf: not valid before")])
def test_show_looks_at_the_clock(issued, need, begin, end, word):
    now = int(time.time())
    resign(issued, need, lambda claims: claims.update(nbf=now + begin, exp=now + end))
    assert f"NOT VALID NOW: {word}" in issued("token", "show", "bus/seg-1.token", status=1).stdout


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "x" * 20000, "\0\0.\0.\0", "\n\n"],
                         ids=["empty", "letter", "short", "long", "zeros", "newlines"])
def test_show_of_something_else(issued, text):
    (issued.folder / "t").write_text(text)
    done = issued("token", "show", "t", status=78)
    assert done.stderr.startswith("cloudbus: t: ") and done.stdout == ""


def test_show_of_what_is_no_file(issued):
    os.mkfifo(issued.folder / "fifo")
    for name, word in ("fifo", "no ordinary file"), ("bus", "folder"), ("none", "No such file"):
        assert word in issued("token", "show", name, status=78).stderr


# --- all of it ------------------------------------------------------------------------------

@pytest.mark.parametrize("option", ["-h", "--help", "help"])
def test_help(tool, option):
    done = tool(option)
    assert done.stderr == ""
    for word in ("init", "issue", "keygen", "token show", "--role", "--public", "--new-key",
                 "--trust"):
        assert word in done.stdout


@pytest.mark.parametrize("command_line", [
    ["init", "--help"], ["init", "x", "-h"], ["issue", "--help"], ["issue", "n", "-h"],
    ["keygen", "-h"], ["token", "--help"], ["token", "show", "-h"]], ids=" ".join)
def test_help_behind_a_command(tool, command_line):
    done = tool(*command_line)
    assert done.stdout == tool("--help").stdout and done.stderr == ""
    assert os.listdir(tool.folder) == []


def test_version(tool):
    assert re.fullmatch(r"cloudbus \d\S*\n", tool("--version").stdout)
    assert tool("-V").stdout == tool("--version").stdout


@pytest.mark.parametrize("args", [[], ["nonsense"], ["token"], ["token", "x"], ["init"],
                                  ["init", "a", "b"], ["init", "--bad"], ["keygen"],
                                  ["token", "show"], ["-x"], ["init", ""], ["keygen", ""],
                                  ["token", "show", ""], ["init", "--", "-h", "x"],
                                  ["issue", "-d", "", "n", "-r", "segment"]], ids=" ".join)
def test_bad_command_line(tool, args):
    done = tool(*args, status=64)
    assert "cloudbus" in done.stderr and "--help" in done.stderr and done.stdout == ""
    assert os.listdir(tool.folder) == []


def test_output_that_is_lost_is_a_failure(issued):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(command("cloudbus", "token", "show", "bus/seg-1.token"),
                              cwd=issued.folder, check=False, stdout=full, text=True,
                              stderr=subprocess.PIPE, env=environment())
    assert done.returncode == 1 and "standard output" in done.stderr
