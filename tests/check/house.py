"""Keeps the house: what a machine can check about the tree is not left to a reader."""
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREFIX = pathlib.Path(os.environ.get("GAGE_PREFIX", ROOT / "build/root"))

# What each folder of src/ may include besides itself: arrows point down only (ARCHITECTURE.md, "Layers").
LAYERS = {
    "base": set(),
    "app": {"base"},
    "otc": {"base"},
    "handshake": {"base"},
    "transfer": {"handshake", "base"},
    "stream": {"handshake", "base"},
    "seal": {"handshake", "base"},
    "lib": {"transfer", "stream", "seal", "handshake", "base"},
    "rpc": {"base"},
    "interposer": {"rpc", "base"},
    "relayd": {"app", "base"},
    "proxyd": {"rpc", "handshake", "app", "base"},
    "cli": {"transfer", "stream", "seal", "handshake", "app", "base"},
}
# Calls that overflow, race, hide errors or leave secrets behind, and what to use instead.
BANNED = {
    r"strcpy|strcat|sprintf|vsprintf|gets|stpcpy": "snprintf or a gage_buf",
    r"atoi|atol|atoll|sscanf|scanf": "a parser that tells errors",
    r"strtok": "a reader",
    r"rand|srand|random|drand48": "struct gage_rng",
    r"system|popen": "fork and exec with an argument vector",
    r"mktemp|tmpnam|tempnam": "mkostemp",
    r"alloca": "a gage_buf",
    r"gmtime|localtime|asctime|ctime|strerror|getpwnam|getpwuid|getgrnam|readdir_r": "the re-entrant form",
    r"memcmp_secret": "slice_equal_ct",
}
# realloc leaves a copy of a secret behind; these folders hold some.
NO_REALLOC = ("base", "otc", "handshake", "transfer", "stream", "seal")


def tracked(*patterns):
    """The project's files of these patterns: what stands in the tree, but for build/."""
    found = {p for pattern in patterns for p in ROOT.glob(pattern) if p.is_file()}
    return sorted(p for p in found if p.relative_to(ROOT).parts[0] != "build" and "__pycache__" not in p.parts)


def without_comments(text):
    """The C text with comments and string contents blanked, line numbers kept."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


class House(unittest.TestCase):
    def no_findings(self, findings):
        self.assertFalse(findings, "\n" + "\n".join(map(str, findings)))

    def test_includes_point_down_the_layers(self):
        bad = []
        for path in tracked("src/**/*.[ch]"):
            folder = path.relative_to(ROOT / "src").parts[0]
            allowed = LAYERS[folder] | {folder, "gage"}
            for n, line in enumerate(path.read_text().splitlines(), 1):
                match = re.match(r'\s*#\s*include\s+"([^/"]+)/', line)
                if match and match.group(1) not in allowed:
                    bad.append(f"{path.relative_to(ROOT)}:{n}: {folder} may not use {match.group(1)}")
        self.no_findings(bad)

    def test_base_and_the_mechanism_know_nothing_of_the_gss_library(self):
        bad = [p for p in tracked("src/base/*.[ch]") if "gssapi" in p.read_text()]
        self.no_findings(bad)

    def test_nothing_above_the_handshake_names_a_mechanism(self):
        """Upper layers ask for properties of a mechanism, never for its name."""
        bad = [p for folder in ("transfer", "stream", "seal") for p in tracked(f"src/{folder}/*.[ch]")
               if re.search(r"GAGE_OTC_OID|gss_mech_krb5\b|gss_krb5_", without_comments(p.read_text()))]
        self.no_findings(bad)

    def test_banned_calls_are_absent(self):
        bad = []
        for path in tracked("src/**/*.[ch]", "examples/*.c"):
            lines = without_comments(path.read_text()).splitlines()
            folder = path.relative_to(ROOT).parts[1]
            banned = dict(BANNED)
            if folder in NO_REALLOC:
                banned["realloc|reallocarray"] = "copy and wipe (gage_buf)"
            for n, line in enumerate(lines, 1):
                for names, instead in banned.items():
                    if re.search(rf"(?<![\w.>])(?:{names})\s*\(", line):
                        bad.append(f"{path.relative_to(ROOT)}:{n}: {line.strip()} - use {instead}")
        self.no_findings(bad)

    def test_paths_named_in_documents_exist(self):
        bad = []
        for path in tracked("*.md", "doc/*.md"):
            for name in re.findall(r"`((?:src|include|doc|man|tests|bench|script|examples|dist)/[\w./*-]*)`", path.read_text()):
                if not list(ROOT.glob(name.rstrip("/"))):
                    bad.append(f"{path.relative_to(ROOT)}: {name}")
        self.no_findings(bad)

    def test_nothing_refers_to_what_is_not_in_the_tree(self):
        """A reader has the tree and nothing else."""
        words = re.compile("|".join([r"\.\./" + "shared", "DES" + r"IGN\b", "HOU" + r"SE\.md", "stream-" + "notes", "gss-proxy-" + "notes"]))
        bad = []
        for path in tracked("src/**/*", "include/**/*", "doc/*", "man/*", "tests/**/*.[chp]*", "script/*", "*.md", "bench/*"):
            for n, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if words.search(line):
                    bad.append(f"{path.relative_to(ROOT)}:{n}: {line.strip()}")
        self.no_findings(bad)

    def test_every_source_folder_is_in_the_architecture(self):
        text = (ROOT / "ARCHITECTURE.md").read_text()
        self.no_findings([d for d in sorted(os.listdir(ROOT / "src")) if f"`src/{d}/`" not in text])

    def test_every_script_is_in_the_contributors_guide(self):
        text = (ROOT / "CONTRIBUTING.md").read_text()
        scripts = [p.relative_to(ROOT) for p in tracked("script/*") if os.access(p, os.X_OK)]
        self.no_findings([s for s in scripts if str(s) not in text])

    def test_public_headers_stand_alone_in_c_and_cxx(self):
        bad = []
        for header in tracked("include/gage/*.h"):
            for language, standard in (("c", "c11"), ("c++", "c++17")):
                done = subprocess.run(["cc", "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                                       "-Wno-pragma-once-outside-header", "-I", str(ROOT / "include"), str(header)],
                                      capture_output=True, text=True)
                if done.returncode != 0:
                    bad.append(done.stderr)
        self.no_findings(bad)

    def exported(self, library):
        out = subprocess.run(["nm", "-D", "--defined-only", PREFIX / library], capture_output=True, text=True, check=True)
        return {line.split()[-1].split("@")[0] for line in out.stdout.splitlines() if line.split()[-2] != "A"}

    def test_libgage_exports_exactly_its_headers(self):
        declared = set()
        for header in tracked("include/gage/*.h"):
            text = without_comments(header.read_text())
            declared |= set(re.findall(r"GAGE_API[^;{]*?\b(gage_\w+)\s*\(", text))
        self.assertEqual(self.exported("lib/libgage.so"), declared)

    def test_the_plugin_exports_only_gss_calls(self):
        names = self.exported("lib/gage/gss/gage_otc.so")
        self.no_findings([n for n in names if not re.match(r"gss(spi|int)?_", n)])

    def test_the_proxys_plugin_exports_what_an_interposer_has(self):
        names = self.exported("lib/gage/gss/gage_proxy.so")
        self.no_findings([n for n in names if not re.match(r"gssi_|gss_mech_interposer$", n)])

    def test_the_proxy_exports_what_kerberos_is_to_call_there(self):
        """Where the loader does not find them, the libraries' own serve and nothing but the speed tells."""
        text = "".join((ROOT / "src/proxyd" / name).read_text() for name in ("krb_aes.c", "krb_context.c", "krb_text.c"))
        ours = set(re.findall(r"^EXPORTED [^;{]*?\b(krb5_\w+)\(krb5_context", text, re.M))
        self.assertTrue(ours)
        self.assertEqual({n for n in self.exported("sbin/gage-proxyd") if n.startswith("krb5_")}, ours)

    def test_programs_are_hardened(self):
        bad = []
        for name in ("bin/gage", "sbin/gage-relayd", *(f"lib/gage/gage-{g}" for g in ("transfer", "stream", "pair", "seal"))):
            out = subprocess.run(["readelf", "-hdlW", PREFIX / name], capture_output=True, text=True, check=True).stdout
            for mark in ("DYN (", "GNU_RELRO", "BIND_NOW" if "BIND_NOW" in out else "NOW"):
                if mark not in out:
                    bad.append(f"{name}: no {mark}")
            if re.search(r"GNU_STACK.*RWE", out):
                bad.append(f"{name}: executable stack")
        self.no_findings(bad)

    def test_a_command_loads_the_libraries_it_needs_and_no_others(self):
        bad = []
        for name, allowed in (("bin/gage", "libc"), ("lib/gage/gage-seal", "libc|libcrypto|libsqlite3")):
            out = subprocess.run(["readelf", "-dW", PREFIX / name], capture_output=True, text=True, check=True).stdout
            bad += [f"{name}: {library}" for library in re.findall(r"NEEDED.*\[(.*?)\]", out)
                    if not re.match(rf"({allowed}|libasan|libubsan|libtsan|libm|ld-linux.*)\.so", library)]
        self.no_findings(bad)

    def test_sources_are_formatted(self):
        done = subprocess.run([ROOT / "script/format", "--check"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])

    def test_files_stay_small_and_functions_readable(self):
        """At most 500 lines a file and 80 a function: a file is one noun, a function one step."""
        bad = []
        for path in tracked("src/**/*.[ch]"):
            lines = path.read_text().splitlines()
            if len(lines) > 500:
                bad.append(f"{path.relative_to(ROOT)}: {len(lines)} lines")
            start = None
            for n, line in enumerate(lines, 1):
                if line == "{":
                    start = n
                elif line == "}" and start is not None:
                    if n - start > 80:
                        bad.append(f"{path.relative_to(ROOT)}:{start}: a function of {n - start} lines")
                    start = None
        self.no_findings(bad)

    def test_the_manual_lists_every_exit_status(self):
        rows = re.findall(r"X\((\w+), (\d+), \"", (ROOT / "include/gage/error.h").read_text())
        self.assertGreater(len(rows), 20)
        text = (ROOT / "man/gage.1").read_text()
        section = text[text.index(".SH EXIT STATUS"):]
        section = section[:section.find("\n.SH", 10)]
        listed = set(re.findall(r"(?m)^\.B(?:R)? (\d+)\b", section))
        self.no_findings([f"{name} ({status})" for name, status in rows if status not in listed])

    def test_manual_pages_are_well_formed(self):
        bad = []
        for page in tracked("man/*.[1-9]"):
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True)
            if done.returncode != 0 or done.stderr:
                bad.append(f"{page.name}: {done.stderr}")
        self.no_findings(bad)

    def test_scripts_parse(self):
        bad = []
        for path in tracked("script/*", ".ci/*", "tests/**/*.sh", "bench/*"):
            first = path.read_bytes().split(b"\n")[0]
            if first.startswith(b"#!/bin/bash") and subprocess.run(["bash", "-n", path]).returncode != 0:
                bad.append(path)
        self.no_findings(bad)


if __name__ == "__main__":
    unittest.main()
