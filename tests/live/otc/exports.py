"""What the GSS library finds in the plugin: exactly these calls, and not the GSS library itself, which it would find calls in as well."""
import os
import pathlib
import subprocess
import unittest

PREFIX = pathlib.Path(os.environ.get("GAGE_PREFIX", pathlib.Path(__file__).resolve().parents[3] / "build/root"))
PLUGIN = PREFIX / "lib/gage/gss/gage_otc.so"
CALLS = """
gss_accept_sec_context gss_acquire_cred gss_acquire_cred_from gss_compare_name gss_context_time
gss_delete_sec_context gss_display_name gss_display_status gss_duplicate_name gss_export_cred gss_export_name
gss_export_sec_context gss_get_mic gss_get_mic_iov gss_get_mic_iov_length gss_get_name_attribute
gss_import_cred gss_import_name gss_import_sec_context gss_indicate_mechs gss_init_sec_context
gss_inquire_attrs_for_mech gss_inquire_context gss_inquire_cred gss_inquire_cred_by_mech
gss_inquire_mech_for_saslname gss_inquire_name gss_inquire_names_for_mech gss_inquire_saslname_for_mech
gss_internal_release_oid gss_localname gss_process_context_token gss_pseudo_random gss_release_cred
gss_release_name gss_store_cred gss_store_cred_into gss_unwrap gss_unwrap_iov gss_verify_mic
gss_verify_mic_iov gss_wrap gss_wrap_iov gss_wrap_iov_length gss_wrap_size_limit
gssspi_acquire_cred_with_password gssspi_authorize_localname
""".split()


class Exports(unittest.TestCase):
    def test_the_plugin_exports_these_calls_and_no_other_name(self):
        out = subprocess.run(["nm", "-D", "--defined-only", PLUGIN], capture_output=True, text=True, check=True).stdout
        self.assertEqual(sorted(line.split()[-1] for line in out.splitlines()), sorted(CALLS))

    def test_it_is_not_linked_with_the_gss_library(self):
        out = subprocess.run(["readelf", "-dW", PLUGIN], capture_output=True, text=True, check=True).stdout
        self.assertIn("libcrypto", out)
        self.assertNotIn("gssapi", out)

    def test_calls_within_it_do_not_go_through_the_gss_librarys_names(self):
        out = subprocess.run(["readelf", "-rW", PLUGIN], capture_output=True, text=True, check=True).stdout
        self.assertFalse([line for line in out.splitlines() if " gss" in line])


if __name__ == "__main__":
    unittest.main()
