/* Everything that must be refused: each with its status, a sentence, no output, and the right token still welcome afterwards. */
#include "live/otc/kit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

static struct kit_pair
link_pair(void)
{
    struct kit_text secret = kit_secret();
    struct kit_pair p = {0};
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, NULL);
    return p;
}

static void
assert_nothing(struct kit_side *side)
{
    assert_true(side->ctx == GSS_C_NO_CONTEXT);
    assert_int_equal(side->token.length, 0);
}

TEST(a_wrong_secret_is_told_from_damage)
{
    struct kit_pair p = link_pair(), other = link_pair();
    kit_init(&p.i, 0, 0, NULL);
    kit_accept(&other.a, &p.i.token);
    kit_assert_status(other.a.major, other.a.minor, GSS_S_DEFECTIVE_CREDENTIAL, "wrong secret");
    assert_nothing(&other.a);
    kit_pair_free(&p);
    kit_pair_free(&other);
}

/* Token 1 with each byte changed is refused; where kid, salt or side were hit, as a wrong secret. */
TEST(damage_at_every_byte_of_token_1)
{
    struct kit_pair p = link_pair();
    kit_init(&p.i, 0, 0, NULL);
    gss_buffer_desc token = kit_copy(&p.i.token);
    for (size_t k = 0; k < token.length; k++) {
        for (int bit = 0; bit < 8; bit += 7) {
            ((uint8_t *)token.value)[k] ^= (uint8_t)(1 << bit);
            kit_accept(&p.a, &token);
            assert_true(GSS_ERROR(p.a.major));
            OM_uint32 routine = GSS_ROUTINE_ERROR(p.a.major);
            assert_true(routine == GSS_S_DEFECTIVE_TOKEN || routine == GSS_S_BAD_MECH ||
                        routine == GSS_S_DEFECTIVE_CREDENTIAL);
            assert_nothing(&p.a);
            ((uint8_t *)token.value)[k] ^= (uint8_t)(1 << bit);
        }
    }
    kit_accept(&p.a, &token);
    assert_int_equal(p.a.major, GSS_S_CONTINUE_NEEDED);
    free(token.value);
    kit_pair_free(&p);
}

TEST(damage_at_every_byte_of_tokens_2_and_3_changes_no_state)
{
    struct kit_pair p = link_pair();
    kit_init(&p.i, 0, 0, NULL);
    kit_accept(&p.a, &p.i.token);
    gss_buffer_desc token = kit_copy(&p.a.token);
    for (size_t k = 0; k < token.length; k++) {
        ((uint8_t *)token.value)[k] ^= 0x80;
        kit_init(&p.i, 0, 0, &token);
        assert_int_equal(p.i.major, GSS_S_DEFECTIVE_TOKEN);
        assert_int_equal(p.i.token.length, 0);
        ((uint8_t *)token.value)[k] ^= 0x80;
    }
    kit_init(&p.i, 0, 0, &token);
    assert_int_equal(p.i.major, GSS_S_COMPLETE);
    free(token.value);
    token = kit_copy(&p.i.token);
    for (size_t k = 0; k < token.length; k++) {
        ((uint8_t *)token.value)[k] ^= 1;
        kit_accept(&p.a, &token);
        assert_int_equal(p.a.major, GSS_S_DEFECTIVE_TOKEN);
        ((uint8_t *)token.value)[k] ^= 1;
    }
    kit_accept(&p.a, &token);
    assert_int_equal(p.a.major, GSS_S_COMPLETE);
    free(token.value);
    kit_pair_free(&p);
}

/* In one's own memory of exactly that size, so that a sanitizer sees a byte read too many. */
static gss_buffer_desc
first_bytes(const gss_buffer_desc *token, size_t n)
{
    gss_buffer_desc cut = {n, (void *)(uintptr_t)token->value};
    return kit_copy(&cut);
}

TEST(truncation_at_every_length_and_a_byte_too_many)
{
    struct kit_pair p = link_pair();
    kit_init(&p.i, 0, 0, NULL);
    gss_buffer_desc one = kit_copy(&p.i.token), longer = {one.length + 1, calloc(1, one.length + 1)};
    memcpy(longer.value, one.value, one.length);
    for (size_t n = 0; n <= longer.length; n++) {
        if (n == one.length)
            continue;
        gss_buffer_desc cut = first_bytes(&longer, n);
        kit_accept(&p.a, &cut);
        assert_true(GSS_ERROR(p.a.major));
        assert_nothing(&p.a);
        free(cut.value);
    }
    kit_accept(&p.a, &one);
    gss_buffer_desc two = kit_copy(&p.a.token);
    for (size_t n = 0; n < two.length; n++) {
        gss_buffer_desc cut = first_bytes(&two, n);
        kit_init(&p.i, 0, 0, &cut);
        kit_assert_status(p.i.major, p.i.minor, GSS_S_DEFECTIVE_TOKEN, "truncated token");
        free(cut.value);
    }
    kit_init(&p.i, 0, 0, &two);
    gss_buffer_desc three = kit_copy(&p.i.token);
    for (size_t n = 1; n < three.length; n++) {
        gss_buffer_desc cut = first_bytes(&three, n);
        kit_accept(&p.a, &cut);
        kit_assert_status(p.a.major, p.a.minor, GSS_S_DEFECTIVE_TOKEN, "truncated token");
        free(cut.value);
    }
    kit_accept(&p.a, &three);
    assert_int_equal(p.a.major, GSS_S_COMPLETE);
    free(longer.value);
    free(one.value);
    free(two.value);
    free(three.value);
    kit_pair_free(&p);
}

TEST(messages_damaged_at_every_byte_or_cut_give_nothing_out)
{
    struct kit_pair p = kit_pair(GSS_C_REPLAY_FLAG);
    OM_uint32 minor;
    for (int conf = 0; conf < 2; conf++) {
        gss_buffer_desc in = kit_buffer("the quick brown fox"), token, out;
        assert_int_equal(gss_wrap(&minor, p.i.ctx, conf, 0, &in, NULL, &token), GSS_S_COMPLETE);
        for (size_t k = 0; k < token.length; k++) {
            ((uint8_t *)token.value)[k] ^= 1;
            OM_uint32 major = gss_unwrap(&minor, p.a.ctx, &token, &out, NULL, NULL);
            assert_int_equal(major, GSS_S_DEFECTIVE_TOKEN);
            assert_null(out.value);
            assert_int_equal(out.length, 0);
            /* In place: what was decrypted on the way is wiped. */
            gss_buffer_desc copy = kit_copy(&token);
            gss_iov_buffer_desc iov[] = {{GSS_IOV_BUFFER_TYPE_STREAM, copy}, {GSS_IOV_BUFFER_TYPE_DATA, {0, NULL}}};
            assert_int_equal(gss_unwrap_iov(&minor, p.a.ctx, NULL, NULL, iov, 2), GSS_S_DEFECTIVE_TOKEN);
            for (size_t i = 0; i < copy.length; i++)
                assert_int_equal(((uint8_t *)copy.value)[i], 0);
            assert_null(iov[1].buffer.value);
            free(copy.value);
            ((uint8_t *)token.value)[k] ^= 1;
            gss_buffer_desc cut = first_bytes(&token, k);
            if (k > 0) /* an empty one is the GSS library's to refuse */
                assert_int_equal(gss_unwrap(&minor, p.a.ctx, &cut, &out, NULL, NULL), GSS_S_DEFECTIVE_TOKEN);
            free(cut.value);
        }
        kit_unwrap(p.a.ctx, &token, "the quick brown fox", 0);
        kit_release(&token);
    }
    kit_pair_free(&p);
}

TEST(foreign_and_misplaced_tokens)
{
    struct kit_pair p = link_pair();
    /* A Kerberos token's frame. */
    uint8_t krb5[] = {0x60, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x01, 0x00};
    gss_buffer_desc foreign = {sizeof krb5, krb5};
    kit_accept(&p.a, &foreign);
    assert_true(GSS_ERROR(p.a.major));
    kit_init(&p.i, 0, 0, NULL);
    gss_buffer_desc one = kit_copy(&p.i.token), text = kit_buffer("GET / HTTP/1.1");
    kit_init(&p.i, 0, 0, &text);
    kit_assert_status(p.i.major, p.i.minor, GSS_S_DEFECTIVE_TOKEN, "foreign token");
    kit_init(&p.i, 0, 0, &one); /* its own, reflected */
    kit_assert_status(p.i.major, p.i.minor, GSS_S_DEFECTIVE_TOKEN, "unexpected token");
    kit_accept(&p.a, &one);
    gss_buffer_desc two = kit_copy(&p.a.token);
    kit_accept(&p.a, &one); /* again, in the wrong state */
    kit_assert_status(p.a.major, p.a.minor, GSS_S_DEFECTIVE_TOKEN, "unexpected token");
    kit_accept(&p.a, &two);
    kit_assert_status(p.a.major, p.a.minor, GSS_S_DEFECTIVE_TOKEN, "unexpected token");
    kit_init(&p.i, 0, 0, &two);
    assert_int_equal(p.i.major, GSS_S_COMPLETE);
    gss_buffer_desc message = kit_wrap(p.i.ctx, "early"), three = kit_copy(&p.i.token);
    kit_accept(&p.a, &message); /* a message before token 3 */
    kit_assert_status(p.a.major, p.a.minor, GSS_S_DEFECTIVE_TOKEN, "unexpected token");
    OM_uint32 minor, major;
    gss_buffer_desc out;
    assert_int_equal(gss_unwrap(&minor, p.a.ctx, &message, &out, NULL, NULL), GSS_S_NO_CONTEXT);
    kit_accept(&p.a, &three);
    assert_int_equal(p.a.major, GSS_S_COMPLETE);
    kit_accept(&p.a, &three);
    kit_assert_status(p.a.major, p.a.minor, GSS_S_FAILURE, "the context is established already");
    major = gss_unwrap(&minor, p.i.ctx, &message, &out, NULL, NULL);
    kit_assert_status(major, minor, GSS_S_DEFECTIVE_TOKEN, "reflected token");
    major = gss_unwrap(&minor, p.a.ctx, &three, &out, NULL, NULL);
    kit_assert_status(major, minor, GSS_S_DEFECTIVE_TOKEN, "unexpected token");
    major = gss_unwrap(&minor, p.a.ctx, &text, &out, NULL, NULL);
    kit_assert_status(major, minor, GSS_S_DEFECTIVE_TOKEN, "foreign token");
    kit_release(&message);
    free(one.value);
    free(two.value);
    free(three.value);
    kit_pair_free(&p);
}

TEST(a_message_of_another_context_is_damaged)
{
    struct kit_pair p = kit_pair(0), q = kit_pair(0);
    OM_uint32 minor;
    gss_buffer_desc message = kit_wrap(p.i.ctx, "not for you"), out;
    OM_uint32 major = gss_unwrap(&minor, q.a.ctx, &message, &out, NULL, NULL);
    kit_assert_status(major, minor, GSS_S_DEFECTIVE_TOKEN, "damaged token");
    kit_release(&message);
    kit_pair_free(&p);
    kit_pair_free(&q);
}

TEST(roles_cannot_be_swapped)
{
    struct kit_pair p = link_pair(), swapped = {.i.cred = p.a.cred, .a.cred = p.i.cred};
    kit_init(&swapped.i, 0, 0, NULL); /* the receiver of a link initiates */
    assert_int_equal(GSS_ROUTINE_ERROR(swapped.i.major), GSS_S_NO_CRED);
    assert_true(swapped.i.ctx == GSS_C_NO_CONTEXT);
    kit_init(&p.i, 0, 0, NULL);
    kit_accept(&swapped.a, &p.i.token); /* its creator accepts */
    assert_int_equal(GSS_ROUTINE_ERROR(swapped.a.major), GSS_S_NO_CRED);
    kit_pair_free(&p);
}

TEST(equal_sides_and_mixed_kinds_of_secret)
{
    kit_secret_files("side-a", "side-b");
    struct kit_path a = kit_path("side-a"), linked = kit_path("linked");
    struct kit_pair p = {0};
    p.i.cred = kit_acquire(GSS_C_BOTH, "otc_secret_file", a.c, NULL);
    p.a.cred = kit_acquire(GSS_C_BOTH, "otc_secret_file", a.c, NULL);
    kit_init(&p.i, 0, 0, NULL);
    kit_accept(&p.a, &p.i.token);
    kit_assert_status(p.a.major, p.a.minor, GSS_S_DEFECTIVE_CREDENTIAL, "equal sides");
    kit_pair_free(&p);
    /* The same secret as a link on one side. */
    AUTO(gage_buf) text = GAGE_BUF(4096);
    assert_ok(file_read(a.c, &text, NULL));
    put_u8(&text, 0);
    char secret[44] = "";
    memcpy(secret, strstr((char *)text.p, "secret=") + 7, 43);
    p = (struct kit_pair){0};
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret, NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret_file", a.c, NULL);
    kit_init(&p.i, 0, 0, NULL);
    kit_accept(&p.a, &p.i.token);
    kit_assert_status(p.a.major, p.a.minor, GSS_S_DEFECTIVE_CREDENTIAL, "wrong kind of secret");
    kit_pair_free(&p);
    /* A file without side is a link. */
    char file[120];
    int n = snprintf(file, sizeof file, "gage-otc-secret 1\n# a link\n\nsecret=%s\n", secret);
    assert_ok(file_replace(linked.c, gage_slice_of(file, (size_t)n), 0600, NULL));
    p = (struct kit_pair){0};
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret, NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret_file", linked.c, NULL);
    kit_establish(&p, 0);
    kit_pair_free(&p);
}

TEST(secret_files_of_the_wrong_form_or_open_to_others)
{
    struct kit_path path = kit_path("bad");
    const char *pairs[] = {"otc_secret_file", path.c, NULL};
    const struct {
        const char *text;
        OM_uint32 major;
        const char *sentence;
    } rows[] = {
        {"", GSS_S_DEFECTIVE_CREDENTIAL, "the secret file is not of the documented form"},
        {"gage-otc-secret 2\n", GSS_S_DEFECTIVE_CREDENTIAL, "the secret file is not"},
        {"gage-otc-secret 1\nside=a\n", GSS_S_DEFECTIVE_CREDENTIAL, "the secret file is not"},
        {"gage-otc-secret 1\nsecret=AAAA\n", GSS_S_DEFECTIVE_CREDENTIAL, "not a secret"},
        {"gage-otc-secret 1\nside=c\nsecret=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", GSS_S_DEFECTIVE_CREDENTIAL,
         "the secret file is not"},
        {"gage-otc-secret 1\ncolour=red\nsecret=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
         GSS_S_DEFECTIVE_CREDENTIAL, "the secret file is not"},
        {"gage-otc-secret 1\nside=a\nside=a\nsecret=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
         GSS_S_DEFECTIVE_CREDENTIAL, "the secret file is not"},
        {"gage-otc-secret 1\nsecret=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nnot-after=2001-01-01T00:00:00Z\n",
         GSS_S_CREDENTIALS_EXPIRED, "expired"},
    };
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 minor;
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        assert_ok(file_replace(path.c, slice_str(rows[k].text), 0600, NULL));
        OM_uint32 major = kit_try_acquire(&minor, GSS_C_ACCEPT, &cred, pairs);
        kit_assert_status(major, minor, rows[k].major, rows[k].sentence);
    }
    const mode_t open_modes[] = {0604, 0602, 0620, 0666};
    for (size_t k = 0; k < 4; k++) {
        assert_int_equal(chmod(path.c, open_modes[k]), 0);
        OM_uint32 major = kit_try_acquire(&minor, GSS_C_ACCEPT, &cred, pairs);
        kit_assert_status(major, minor, GSS_S_NO_CRED, "others may read or write");
    }
    assert_true(cred == GSS_C_NO_CREDENTIAL);
}

/* ---- time and use ---- */

TEST(an_expired_credential_is_refused_by_the_releasing_side_even_after_token_1)
{
    struct kit_text secret = kit_secret();
    struct kit_pair p = {0};
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, "otc_not_after", "1s", NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, NULL);
    kit_init(&p.i, 0, 0, NULL);
    kit_accept(&p.a, &p.i.token);
    assert_int_equal(p.a.major, GSS_S_CONTINUE_NEEDED);
    usleep(2100000);
    kit_init(&p.i, 0, 0, &p.a.token);
    kit_assert_status(p.i.major, p.i.minor, GSS_S_CREDENTIALS_EXPIRED, "expired");
    assert_int_equal(p.i.token.length, 34); /* it tells the acceptor */
    kit_accept(&p.a, &p.i.token);
    kit_assert_status(p.a.major, p.a.minor, GSS_S_FAILURE, "refused: the other side ended the exchange");
    struct kit_side again = {.cred = p.i.cred};
    kit_init(&again, 0, 0, NULL);
    kit_assert_status(again.major, again.minor, GSS_S_CREDENTIALS_EXPIRED, "expired");
    kit_pair_free(&p);
}

TEST(a_used_link_and_a_replayed_token_1_are_refused_by_an_authority)
{
    struct kit_text secret = kit_secret();
    struct kit_path used = kit_path("used");
    struct kit_pair p = {0};
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, "otc_used", used.c, NULL);
    kit_init(&p.i, 0, 0, NULL);
    gss_buffer_desc one = kit_copy(&p.i.token);
    kit_accept(&p.a, &one);
    assert_int_equal(p.a.major, GSS_S_CONTINUE_NEEDED);
    struct kit_side second = {.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, "otc_used", used.c, NULL)};
    kit_accept(&second, &one);
    assert_true(GSS_ERROR(second.major));
    kit_assert_status(second.major, second.minor, GSS_S_FAILURE | GSS_S_DUPLICATE_TOKEN, "used already");
    assert_true(second.ctx == GSS_C_NO_CONTEXT);
    /* The refusal is authentic, and leaves the initiator ready for the first acceptor's token 2. */
    kit_init(&p.i, 0, 0, &second.token);
    kit_assert_status(p.i.major, p.i.minor, GSS_S_FAILURE | GSS_S_DUPLICATE_TOKEN, "used already");
    kit_init(&p.i, 0, 0, &p.a.token);
    assert_int_equal(p.i.major, GSS_S_COMPLETE);
    /* Nor does the link make a second context with a new credential. */
    struct kit_side fresh = {.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, NULL)};
    kit_init(&fresh, 0, 0, NULL);
    kit_accept(&second, &fresh.token);
    assert_true((second.major & GSS_S_DUPLICATE_TOKEN) != 0 && GSS_ERROR(second.major));
    free(one.value);
    kit_side_free(&fresh);
    kit_side_free(&second);
    kit_pair_free(&p);
}

TEST(a_secret_file_with_a_used_store_takes_many_credentials_and_each_once)
{
    kit_secret_files("many-a", "many-b");
    struct kit_path a = kit_path("many-a"), b = kit_path("many-b"), used = kit_path("used-many");
    struct kit_pair p = {0};
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret_file", a.c, NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret_file", b.c, "otc_used", used.c, NULL);
    OM_uint32 minor;
    for (int round = 0; round < 3; round++) {
        kit_init(&p.i, 0, 0, NULL);
        gss_buffer_desc one = kit_copy(&p.i.token);
        kit_accept(&p.a, &one);
        assert_int_equal(p.a.major, GSS_S_CONTINUE_NEEDED);
        gss_delete_sec_context(&minor, &p.a.ctx, NULL);
        kit_accept(&p.a, &one);
        kit_assert_status(p.a.major, p.a.minor, GSS_S_FAILURE | GSS_S_DUPLICATE_TOKEN, "used already");
        gss_delete_sec_context(&minor, &p.i.ctx, NULL);
        free(one.value);
    }
    kit_pair_free(&p);
}

TEST(an_authority_whose_store_cannot_be_written_accepts_nothing)
{
    struct kit_text secret = kit_secret();
    struct kit_pair p = {0};
    struct kit_path folder = kit_path("no-such-folder/used");
    p.i.cred = kit_acquire(GSS_C_INITIATE, "otc_secret", secret.c, NULL);
    p.a.cred = kit_acquire(GSS_C_ACCEPT, "otc_secret", secret.c, "otc_used", folder.c, NULL);
    kit_init(&p.i, 0, 0, NULL);
    kit_accept(&p.a, &p.i.token);
    kit_assert_status(p.a.major, p.a.minor, GSS_S_FAILURE, "the store of used credentials");
    kit_init(&p.i, 0, 0, &p.a.token);
    kit_assert_status(p.i.major, p.i.minor, GSS_S_FAILURE, "refused");
    kit_pair_free(&p);
}

/* Without a store a replayed token 1 gets a second token 2, and only one of the two acceptors ever gets token 3. */
TEST(of_two_acceptors_with_one_token_1_only_one_completes)
{
    struct kit_pair p = link_pair();
    struct kit_side second = {.cred = p.a.cred};
    kit_init(&p.i, 0, 0, NULL);
    kit_accept(&p.a, &p.i.token);
    kit_accept(&second, &p.i.token);
    kit_init(&p.i, 0, 0, &second.token);
    assert_int_equal(p.i.major, GSS_S_COMPLETE);
    kit_accept(&p.a, &p.i.token); /* token 3 belongs to the other one */
    kit_assert_status(p.a.major, p.a.minor, GSS_S_DEFECTIVE_TOKEN, "damaged token");
    kit_accept(&second, &p.i.token);
    assert_int_equal(second.major, GSS_S_COMPLETE);
    second.cred = GSS_C_NO_CREDENTIAL;
    kit_side_free(&second);
    kit_pair_free(&p);
}

TEST(a_delete_token_in_place_of_token_3_refuses_the_second_receiver)
{
    struct kit_pair p = link_pair();
    OM_uint32 minor;
    gss_buffer_desc refusal;
    kit_init(&p.i, 0, 0, NULL);
    kit_accept(&p.a, &p.i.token);
    kit_init(&p.i, 0, 0, &p.a.token); /* completes; token 3 is kept back */
    gss_buffer_desc three = kit_copy(&p.i.token);
    assert_int_equal(gss_delete_sec_context(&minor, &p.i.ctx, &refusal), GSS_S_COMPLETE);
    ((uint8_t *)refusal.value)[33] ^= 1;
    kit_accept(&p.a, &refusal);
    kit_assert_status(p.a.major, p.a.minor, GSS_S_DEFECTIVE_TOKEN, "damaged token");
    ((uint8_t *)refusal.value)[33] ^= 1;
    kit_accept(&p.a, &refusal);
    kit_assert_status(p.a.major, p.a.minor, GSS_S_FAILURE, "refused");
    kit_accept(&p.a, &three); /* a refusal is final */
    kit_assert_status(p.a.major, p.a.minor, GSS_S_FAILURE, "refused");
    free(three.value);
    kit_release(&refusal);
    kit_pair_free(&p);
}

/* ---- imports ---- */

TEST(damaged_exports_are_refused_or_harmless)
{
    struct kit_pair p = kit_pair(0);
    OM_uint32 minor;
    gss_buffer_desc saved;
    assert_int_equal(gss_export_sec_context(&minor, &p.i.ctx, &saved), GSS_S_COMPLETE);
    for (size_t n = 0; n < saved.length; n++) {
        gss_buffer_desc cut = first_bytes(&saved, n);
        gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
        assert_true(GSS_ERROR(gss_import_sec_context(&minor, &cut, &ctx)));
        assert_true(ctx == GSS_C_NO_CONTEXT);
        free(cut.value);
    }
    ((uint8_t *)saved.value)[4 + 33] = 2; /* a version to come */
    OM_uint32 major = gss_import_sec_context(&minor, &saved, &p.i.ctx);
    kit_assert_status(major, minor, GSS_S_DEFECTIVE_TOKEN, "not an exported context of this version");
    kit_release(&saved);
    kit_pair_free(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_wrong_secret_is_told_from_damage),
        CASE(damage_at_every_byte_of_token_1),
        CASE(damage_at_every_byte_of_tokens_2_and_3_changes_no_state),
        CASE(truncation_at_every_length_and_a_byte_too_many),
        CASE(messages_damaged_at_every_byte_or_cut_give_nothing_out),
        CASE(foreign_and_misplaced_tokens),
        CASE(a_message_of_another_context_is_damaged),
        CASE(roles_cannot_be_swapped),
        CASE(equal_sides_and_mixed_kinds_of_secret),
        CASE(secret_files_of_the_wrong_form_or_open_to_others),
        CASE(an_expired_credential_is_refused_by_the_releasing_side_even_after_token_1),
        CASE(a_used_link_and_a_replayed_token_1_are_refused_by_an_authority),
        CASE(a_secret_file_with_a_used_store_takes_many_credentials_and_each_once),
        CASE(an_authority_whose_store_cannot_be_written_accepts_nothing),
        CASE(of_two_acceptors_with_one_token_1_only_one_completes),
        CASE(a_delete_token_in_place_of_token_3_refuses_the_second_receiver),
        CASE(damaged_exports_are_refused_or_harmless),
    };
    kit_start();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
