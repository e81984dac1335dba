/* The Kerberos encryption types by OpenSSL beside libk5crypto's own: each reads what the other wrote, and both refuse the same. */
#include "unit/test.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <krb5.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "proxyd/krb_aes.h"

#define ROOM 4096

static krb5_error_code (*their_encrypt)(krb5_context, krb5_key, krb5_keyusage, const krb5_data *, const krb5_data *,
                                        krb5_enc_data *);
static krb5_error_code (*their_decrypt)(krb5_context, krb5_key, krb5_keyusage, const krb5_data *, const krb5_enc_data *,
                                        krb5_data *);
static const krb5_enctype types[] = {ENCTYPE_AES128_CTS_HMAC_SHA1_96, ENCTYPE_AES256_CTS_HMAC_SHA1_96};
static const krb5_keyusage usages[] = {KRB5_KEYUSAGE_KDC_REP_TICKET, KRB5_KEYUSAGE_AP_REQ_AUTH, 1030, 0x7ffffff1};
static krb5_context context;

static void
begin(void)
{
    void *library = dlopen("libk5crypto.so.3", RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(library);
    void *encrypt = dlsym(library, "krb5_k_encrypt"), *decrypt = dlsym(library, "krb5_k_decrypt");
    memcpy(&their_encrypt, &encrypt, sizeof encrypt);
    memcpy(&their_decrypt, &decrypt, sizeof decrypt);
    assert_int_equal(krb5_init_context(&context), 0);
}

static krb5_key
new_key(krb5_enctype type)
{
    krb5_keyblock block;
    krb5_key key = NULL;
    assert_int_equal(krb5_c_make_random_key(context, type, &block), 0);
    assert_int_equal(krb5_k_create_key(context, &block, &key), 0);
    krb5_free_keyblock_contents(context, &block);
    return key;
}

static krb5_data
data_of(uint8_t *bytes, size_t n)
{
    return (krb5_data){.magic = KV5M_DATA, .length = (unsigned)n, .data = (char *)bytes};
}

/* One message there and back, both ways. */
static void
exchange(krb5_key key, krb5_keyusage usage, size_t n)
{
    uint8_t text[ROOM], sealed[ROOM], opened[ROOM];
    assert_true(gage_ok(rng_fill(&gage_system_rng, text, sizeof text)));
    krb5_data plain = data_of(text, n);
    for (int ours_seals = 0; ours_seals < 2; ours_seals++) {
        krb5_data result = data_of(opened, sizeof opened);
        krb5_enc_data enc = {.ciphertext = data_of(sealed, sizeof sealed)};
        uint64_t before = krb_aes_count();
        assert_int_equal((ours_seals ? krb5_k_encrypt : their_encrypt)(context, key, usage, NULL, &plain, &enc), 0);
        assert_int_equal(enc.ciphertext.length, n + 28);
        assert_int_equal(enc.enctype, krb5_k_key_enctype(context, key));
        assert_int_equal((ours_seals ? their_decrypt : krb5_k_decrypt)(context, key, usage, NULL, &enc, &result), 0);
        assert_int_equal(krb_aes_count() - before, 1);
        assert_int_equal(result.length, n);
        assert_memory_equal(opened, text, n);
    }
}

TEST(the_libraries_calls_come_here)
{
    assert_true(krb_aes_begin());
    void *called = dlsym(RTLD_DEFAULT, "krb5_c_decrypt");
    krb5_error_code (*ours)(krb5_context, const krb5_keyblock *, krb5_keyusage, const krb5_data *,
                            const krb5_enc_data *, krb5_data *) = krb5_c_decrypt;
    assert_memory_equal(&called, &ours, sizeof called);
}

TEST(each_reads_what_the_other_wrote_at_every_length)
{
    begin();
    for (size_t t = 0; t < 2; t++) {
        krb5_key key = new_key(types[t]);
        for (size_t n = 0; n < 100; n++)
            exchange(key, usages[n % 4], n);
        exchange(key, usages[0], 3000);
        krb5_k_free_key(context, key);
    }
    krb5_free_context(context);
}

TEST(many_keys_and_usages_do_not_mix)
{
    begin();
    krb5_key keys[40];
    for (size_t i = 0; i < 40; i++)
        keys[i] = new_key(types[i % 2]);
    for (size_t round = 0; round < 3; round++)
        for (size_t i = 0; i < 40; i++)
            for (size_t u = 0; u < 4; u++)
                exchange(keys[i], usages[u], 33);
    for (size_t i = 0; i < 40; i++)
        krb5_k_free_key(context, keys[i]);
    krb5_free_context(context);
}

TEST(every_flipped_byte_and_every_wrong_key_usage_room_and_length_is_refused_as_libk5crypto_does)
{
    begin();
    uint8_t text[50] = "text", sealed[ROOM], opened[ROOM];
    for (size_t t = 0; t < 2; t++) {
        krb5_key key = new_key(types[t]), other = new_key(types[t]);
        krb5_data plain = data_of(text, sizeof text), result = data_of(opened, sizeof opened);
        krb5_enc_data enc = {.ciphertext = data_of(sealed, sizeof sealed)};
        assert_int_equal(krb5_k_encrypt(context, key, 2, NULL, &plain, &enc), 0);
        for (size_t i = 0; i < enc.ciphertext.length; i++) {
            sealed[i] ^= 0x10;
            assert_int_equal(krb5_k_decrypt(context, key, 2, NULL, &enc, &result), KRB5KRB_AP_ERR_BAD_INTEGRITY);
            sealed[i] ^= 0x10;
        }
        assert_int_equal(krb5_k_decrypt(context, other, 2, NULL, &enc, &result), KRB5KRB_AP_ERR_BAD_INTEGRITY);
        assert_int_equal(krb5_k_decrypt(context, key, 3, NULL, &enc, &result), KRB5KRB_AP_ERR_BAD_INTEGRITY);
        for (unsigned n = 0; n < enc.ciphertext.length; n++) {
            krb5_enc_data cut = enc;
            cut.ciphertext.length = n;
            krb5_data a = data_of(opened, sizeof opened), b = a;
            krb5_error_code ours = krb5_k_decrypt(context, key, 2, NULL, &cut, &a);
            assert_int_equal(ours, their_decrypt(context, key, 2, NULL, &cut, &b));
            assert_int_not_equal(ours, 0);
        }
        krb5_data small = data_of(opened, sizeof text - 1);
        krb5_enc_data no_room = {.ciphertext = data_of(sealed, sizeof text + 27)}, mistyped = enc;
        mistyped.enctype = types[1 - t];
        assert_int_equal(krb5_k_decrypt(context, key, 2, NULL, &mistyped, &result), KRB5_BAD_ENCTYPE);
        assert_int_equal(krb5_k_decrypt(context, key, 2, NULL, &enc, &small), KRB5_BAD_MSIZE);
        assert_int_equal(krb5_k_encrypt(context, key, 2, NULL, &plain, &no_room), KRB5_BAD_MSIZE);
        krb5_k_free_key(context, key);
        krb5_k_free_key(context, other);
    }
    krb5_free_context(context);
}

TEST(checksums_are_told_right_from_wrong_as_libk5crypto_makes_them)
{
    begin();
    uint8_t text[300] = "text", other[300] = "test";
    const krb5_cksumtype kinds[] = {CKSUMTYPE_HMAC_SHA1_96_AES128, CKSUMTYPE_HMAC_SHA1_96_AES256};
    for (size_t t = 0; t < 2; t++) {
        krb5_keyblock key;
        krb5_checksum sum;
        krb5_boolean valid = 0;
        krb5_data data = data_of(text, sizeof text), wrong = data_of(other, sizeof other), none = data_of(text, 0);
        assert_int_equal(krb5_c_make_random_key(context, types[t], &key), 0);
        assert_int_equal(krb5_c_make_checksum(context, kinds[t], &key, 17, &data, &sum), 0);
        uint64_t before = krb_aes_count();
        assert_int_equal(krb5_c_verify_checksum(context, &key, 17, &data, &sum, &valid), 0);
        assert_true(valid && krb_aes_count() == before + 1);
        assert_int_equal(krb5_c_verify_checksum(context, &key, 17, &wrong, &sum, &valid), 0);
        assert_false(valid);
        assert_int_equal(krb5_c_verify_checksum(context, &key, 18, &data, &sum, &valid), 0);
        assert_false(valid);
        for (unsigned i = 0; i < sum.length; i++) {
            sum.contents[i] ^= 1;
            assert_int_equal(krb5_c_verify_checksum(context, &key, 17, &data, &sum, &valid), 0);
            assert_false(valid);
            sum.contents[i] ^= 1;
        }
        sum.length--;
        assert_int_equal(krb5_c_verify_checksum(context, &key, 17, &data, &sum, &valid), KRB5_BAD_MSIZE);
        sum.length++;
        krb5_free_checksum_contents(context, &sum);
        assert_int_equal(krb5_c_make_checksum(context, kinds[t], &key, 17, &none, &sum), 0);
        assert_int_equal(krb5_c_verify_checksum(context, &key, 17, &none, &sum, &valid), 0);
        assert_true(valid && krb_aes_count() == before + 2);
        krb5_free_checksum_contents(context, &sum);
        krb5_free_keyblock_contents(context, &key);
    }
    krb5_free_context(context);
}

TEST(a_checksum_without_a_key_goes_to_libk5crypto)
{
    begin();
    uint8_t text[300] = "text";
    krb5_checksum sum;
    krb5_boolean valid = 0;
    krb5_data data = data_of(text, sizeof text);
    assert_int_equal(krb5_c_make_checksum(context, CKSUMTYPE_NIST_SHA, NULL, 0, &data, &sum), 0);
    assert_int_equal(krb5_c_verify_checksum(context, NULL, 0, &data, &sum, &valid), 0);
    assert_true(valid);
    text[0] ^= 1;
    assert_int_equal(krb5_c_verify_checksum(context, NULL, 0, &data, &sum, &valid), 0);
    assert_false(valid);
    krb5_free_checksum_contents(context, &sum);
    krb5_free_context(context);
}

TEST(a_message_may_be_opened_and_sealed_where_it_lies)
{
    begin();
    uint8_t text[100], place[128];
    for (size_t t = 0; t < 2; t++) {
        krb5_key key = new_key(types[t]);
        for (size_t n = 0; n < sizeof text; n++) {
            assert_true(gage_ok(rng_fill(&gage_system_rng, text, sizeof text)));
            memcpy(place, text, n);
            krb5_data plain = data_of(place, n), result = data_of(place, sizeof place);
            krb5_enc_data enc = {.ciphertext = data_of(place, sizeof place)};
            uint64_t before = krb_aes_count();
            assert_int_equal(krb5_k_encrypt(context, key, 2, NULL, &plain, &enc), 0);
            assert_int_equal(krb5_k_decrypt(context, key, 2, NULL, &enc, &result), 0);
            assert_int_equal(krb_aes_count() - before, 2);
            assert_int_equal(result.length, n);
            assert_memory_equal(place, text, n);
        }
        krb5_k_free_key(context, key);
    }
    krb5_free_context(context);
}

TEST(keys_that_nobody_used_lately_are_wiped_and_made_again)
{
    begin();
    uint8_t text[50] = "text", sealed[ROOM], opened[ROOM];
    krb5_key key = new_key(types[1]);
    krb5_data plain = data_of(text, sizeof text), result = data_of(opened, sizeof opened);
    krb5_enc_data enc = {.ciphertext = data_of(sealed, sizeof sealed)};
    krb_aes_forget(INT64_MAX);
    assert_int_equal(krb_aes_kept(), 0);
    assert_int_equal(krb5_k_encrypt(context, key, 2, NULL, &plain, &enc), 0);
    assert_int_equal(krb_aes_kept(), 1);
    krb_aes_forget(clock_now() - 60);
    assert_int_equal(krb_aes_kept(), 1);
    krb_aes_forget(clock_now() + 1);
    assert_int_equal(krb_aes_kept(), 0);
    assert_int_equal(krb5_k_decrypt(context, key, 2, NULL, &enc, &result), 0);
    assert_memory_equal(opened, text, sizeof text);
    krb5_k_free_key(context, key);
    krb5_free_context(context);
}

TEST(other_types_and_cipher_states_go_to_libk5crypto)
{
    begin();
    uint8_t text[50] = "text", sealed[ROOM], opened[ROOM], chain[16] = {0};
    const krb5_enctype all[] = {ENCTYPE_AES256_CTS_HMAC_SHA384_192, ENCTYPE_AES256_CTS_HMAC_SHA1_96};
    for (size_t t = 0; t < 2; t++) {
        krb5_key key = new_key(all[t]);
        krb5_data plain = data_of(text, sizeof text), result = data_of(opened, sizeof opened);
        krb5_data first = data_of(chain, sizeof chain), *used = t == 0 ? NULL : &first;
        krb5_enc_data enc = {.ciphertext = data_of(sealed, sizeof sealed)};
        uint64_t before = krb_aes_count();
        assert_int_equal(krb5_k_encrypt(context, key, 2, used, &plain, &enc), 0);
        memset(chain, 0, sizeof chain);
        assert_int_equal(krb5_k_decrypt(context, key, 2, used, &enc, &result), 0);
        assert_int_equal(krb_aes_count(), before);
        assert_memory_equal(opened, text, sizeof text);
        krb5_k_free_key(context, key);
    }
    krb5_free_context(context);
}

TEST_MAIN(CASE(the_libraries_calls_come_here), CASE(each_reads_what_the_other_wrote_at_every_length),
          CASE(many_keys_and_usages_do_not_mix),
          CASE(every_flipped_byte_and_every_wrong_key_usage_room_and_length_is_refused_as_libk5crypto_does),
          CASE(checksums_are_told_right_from_wrong_as_libk5crypto_makes_them),
          CASE(a_checksum_without_a_key_goes_to_libk5crypto), CASE(a_message_may_be_opened_and_sealed_where_it_lies),
          CASE(keys_that_nobody_used_lately_are_wiped_and_made_again),
          CASE(other_types_and_cipher_states_go_to_libk5crypto))
