/* Envelope, packet, message: every field, every truncation, every byte of damage. */
#include "unit/test.h"

#include "transfer/message.h"
#include "transfer/packet.h"

static gage_secret secret = {.b = "0123456789abcdef0123456789abcdef", .n = 32};

static void
make_packet(gage_buf *out)
{
    struct packet p = {.role = PACKET_RECEIVER, .attempt = 3, .seq = 7, .ack = 6, .final = true};
    p.token[PACKET_CONTEXT] = SLICE_LITERAL("context token");
    p.token[PACKET_MESSAGE] = SLICE_LITERAL("wrapped message");
    p.token[PACKET_DELETE] = SLICE_LITERAL("delete token");
    packet_put(out, &p, 0);
    assert_false(out->bad);
}

/* ---- envelope ---- */

TEST(an_envelope_opens_with_its_secret_of_either_length)
{
    for (size_t n = 16; n <= 32; n += 16) {
        AUTO(gage_buf) sealed = GAGE_BUF(1000), text = GAGE_BUF(1000);
        gage_secret s = secret;
        s.n = n;
        assert_ok(envelope_seal(&s, &gage_system_rng, SLICE_LITERAL("hello"), &sealed, NULL));
        assert_int_equal(sealed.n, 5 + ENVELOPE_OVERHEAD);
        assert_ok(envelope_open(&s, gage_buf_slice(&sealed), &text, NULL));
        assert_slice_equal(gage_buf_slice(&text), SLICE_LITERAL("hello"));
    }
    assert_string_equal(envelope_type(32), "AEAD_AES_256_GCM");
    assert_string_equal(envelope_type(16), "AEAD_AES_128_GCM");
    assert_null(envelope_type(24));
}

TEST(an_envelope_damaged_anywhere_or_cut_does_not_open)
{
    AUTO(gage_buf) sealed = GAGE_BUF(1000), text = GAGE_BUF(1000);
    assert_ok(envelope_seal(&secret, &gage_system_rng, SLICE_LITERAL("hello"), &sealed, NULL));
    for (size_t i = 0; i < sealed.n; i++) {
        sealed.p[i] ^= 0x40;
        assert_code(envelope_open(&secret, gage_buf_slice(&sealed), &text, NULL), GAGE_E_AUTH);
        sealed.p[i] ^= 0x40;
        assert_code(envelope_open(&secret, gage_slice_of(sealed.p, i), &text, NULL), GAGE_E_AUTH);
    }
    assert_int_equal(text.n, 0);
}

/* ---- packet ---- */

TEST(a_packet_comes_back_as_it_went)
{
    AUTO(gage_buf) b = GAGE_BUF(2000);
    struct packet p;
    make_packet(&b);
    assert_int_equal(b.n, PACKET_PAD_FLOOR);
    assert_ok(packet_get(gage_buf_slice(&b), &p, NULL));
    assert_true(p.role == PACKET_RECEIVER && p.attempt == 3 && p.seq == 7 && p.ack == 6 && p.final);
    assert_slice_equal(p.token[PACKET_CONTEXT], SLICE_LITERAL("context token"));
    assert_slice_equal(p.token[PACKET_MESSAGE], SLICE_LITERAL("wrapped message"));
    assert_slice_equal(p.token[PACKET_DELETE], SLICE_LITERAL("delete token"));
}

TEST(a_packet_cut_within_its_tokens_is_refused)
{
    AUTO(gage_buf) b = GAGE_BUF(2000);
    struct packet p;
    make_packet(&b);
    size_t used = PACKET_HEADER_LEN + 3 * 5 + 13 + 15 + 12;
    for (size_t n = 0; n < used; n++)
        assert_code(packet_get(gage_slice_of(b.p, n), &p, NULL), GAGE_E_FORMAT);
    assert_ok(packet_get(gage_slice_of(b.p, used), &p, NULL));
}

TEST(a_packet_field_out_of_range_is_refused)
{
    static const struct {
        size_t at;
        uint8_t value;
        enum gage_code code;
    } rows[] = {{0, 2, GAGE_E_UNSUPPORTED}, {1, 0, GAGE_E_FORMAT},  {1, 3, GAGE_E_FORMAT},  {2, 1, GAGE_E_FORMAT},
                {3, 0, GAGE_E_FORMAT},      {4, 1, GAGE_E_FORMAT},  {7, 0, GAGE_E_FORMAT},  {8, 1, GAGE_E_FORMAT},
                {12, 2, GAGE_E_FORMAT},     {13, 4, GAGE_E_FORMAT}, {13, 2, GAGE_E_FORMAT}, {14, 0, GAGE_E_FORMAT},
                {14, 2, GAGE_E_FORMAT},     {14, 4, GAGE_E_FORMAT}, {15, 9, GAGE_E_FORMAT}, {511, 1, GAGE_E_FORMAT}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO(gage_buf) b = GAGE_BUF(2000);
        struct packet p;
        make_packet(&b);
        b.p[rows[i].at] = rows[i].value;
        gage_rc rc = packet_get(gage_buf_slice(&b), &p, NULL);
        if (rc.code != rows[i].code)
            fail_msg("byte %zu = %u: %s", rows[i].at, rows[i].value, gage_code_name(rc.code));
    }
}

TEST(padding_hides_the_length_within_an_eighth)
{
    assert_int_equal(packet_padded(0), 512);
    assert_int_equal(packet_padded(512), 512);
    assert_int_equal(packet_padded(513), 544);
    assert_int_equal(packet_padded(36000), 36864);
    for (size_t n = 513; n < 300000; n += 7) {
        size_t padded = packet_padded(n);
        assert_true(padded >= n && padded - n <= n / 8);
        assert_int_equal(packet_padded(padded), padded);
    }
}

/* ---- message ---- */

static void
make_message(gage_buf *out, enum record_type type)
{
    struct message m = {.type = type, .has_binding = true, .refusal = REFUSAL_PERSON, .bytes = SLICE_LITERAL("ask")};
    m.binding = (struct binding){SLICE_LITERAL("https://r.example/v1/m/x"), SLICE_LITERAL("file"),
                                 SLICE_LITERAL("title"), true, false};
    m.content = (struct content){.name = SLICE_LITERAL("a.txt"), .mode = 0640, .bytes = SLICE_LITERAL("content")};
    assert_ok(sha256_of(m.content.bytes, m.content.sha256));
    memset(m.hash, 7, sizeof m.hash);
    memset(m.transcript, 9, sizeof m.transcript);
    message_put(out, &m);
    assert_false(out->bad);
}

TEST(every_record_comes_back_as_it_went)
{
    for (int type = RECORD_CONTENT; type <= RECORD_TYPE_MAX; type++) {
        AUTO(gage_buf) b = GAGE_BUF(2000);
        struct message m;
        make_message(&b, (enum record_type)type);
        assert_ok(message_get(gage_buf_slice(&b), &m, NULL));
        assert_int_equal(m.type, type);
        assert_true(m.has_binding && m.binding.verify && !m.binding.calls && m.transcript[31] == 9);
        assert_slice_equal(m.binding.format, SLICE_LITERAL("file"));
        if (type == RECORD_CONTENT) {
            assert_slice_equal(m.content.name, SLICE_LITERAL("a.txt"));
            assert_slice_equal(m.content.bytes, SLICE_LITERAL("content"));
            assert_int_equal(m.content.mode, 0640);
        }
        if (type == RECORD_RECEIPT)
            assert_int_equal(m.hash[0], 7);
        if (type == RECORD_REQUEST)
            assert_slice_equal(m.bytes, SLICE_LITERAL("ask"));
    }
}

TEST(every_message_cut_or_lengthened_is_refused)
{
    for (int type = RECORD_CONTENT; type <= RECORD_TYPE_MAX; type++) {
        AUTO(gage_buf) b = GAGE_BUF(2000);
        struct message m;
        make_message(&b, (enum record_type)type);
        for (size_t n = 0; n < b.n; n++)
            assert_code(message_get(gage_slice_of(b.p, n), &m, NULL), GAGE_E_FORMAT);
        put_u8(&b, 0);
        assert_code(message_get(gage_buf_slice(&b), &m, NULL), GAGE_E_FORMAT);
    }
}

TEST(content_whose_hash_name_or_mode_is_wrong_is_refused)
{
    static const char *const names[] = {"/etc/passwd",
                                        "..",
                                        ".",
                                        "a/b",
                                        "a\nb",
                                        "a\x1b[2J",
                                        "\xff\xfe",
                                        "a\xe2\x80\xae"
                                        "b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        AUTO(gage_buf) b = GAGE_BUF(2000);
        struct message m = {.type = RECORD_CONTENT, .content = {.name = slice_str(names[i]), .mode = 0600}}, back;
        assert_ok(sha256_of(SLICE_NONE, m.content.sha256));
        message_put(&b, &m);
        assert_code(message_get(gage_buf_slice(&b), &back, NULL), GAGE_E_FORMAT);
    }
    AUTO(gage_buf) b = GAGE_BUF(2000);
    struct message m;
    make_message(&b, RECORD_CONTENT);
    b.p[b.n - 1] ^= 1; /* a byte of the content */
    assert_code(message_get(gage_buf_slice(&b), &m, NULL), GAGE_E_FORMAT);
    b.p[b.n - 1] ^= 1;
    size_t mode = b.n - 7 - SHA256_LEN - 2;
    b.p[mode] = 0x08; /* setuid */
    assert_code(message_get(gage_buf_slice(&b), &m, NULL), GAGE_E_FORMAT);
}

TEST(a_name_with_nul_or_too_long_is_no_plain_name)
{
    char longest[GAGE_TRANSFER_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    assert_true(name_plain(gage_slice_of(longest, GAGE_TRANSFER_NAME_MAX)));
    assert_false(name_plain(gage_slice_of(longest, GAGE_TRANSFER_NAME_MAX + 1)));
    assert_false(name_plain(gage_slice_of("a\0b", 3)));
    assert_false(name_plain(SLICE_NONE));
}

TEST(a_name_is_installed_without_surprises)
{
    static const char *const rows[][2] = {
        {"key.pem", "key.pem"}, {"-rf", "_rf"}, {".bashrc", "_bashrc"},          {"..x", "_.x"},
        {"a\\b", "a_b"},        {"", ""},       {"\xc3\xa4.txt", "\xc3\xa4.txt"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char safe[GAGE_TRANSFER_NAME_MAX + 1];
        name_safe(slice_str(rows[i][0]), safe);
        assert_string_equal(safe, rows[i][1]);
    }
}

TEST_MAIN(CASE(an_envelope_opens_with_its_secret_of_either_length),
          CASE(an_envelope_damaged_anywhere_or_cut_does_not_open), CASE(a_packet_comes_back_as_it_went),
          CASE(a_packet_cut_within_its_tokens_is_refused), CASE(a_packet_field_out_of_range_is_refused),
          CASE(padding_hides_the_length_within_an_eighth), CASE(every_record_comes_back_as_it_went),
          CASE(every_message_cut_or_lengthened_is_refused), CASE(content_whose_hash_name_or_mode_is_wrong_is_refused),
          CASE(a_name_with_nul_or_too_long_is_no_plain_name), CASE(a_name_is_installed_without_surprises))
