#include "unit/test.h"

#include "transfer/json.h"

TEST(reads_members_in_place)
{
    struct json_object o, inner;
    int64_t n = 0;
    AUTO(gage_buf) s = GAGE_BUF(100);
    assert_ok(json_parse_object(
        SLICE_LITERAL(
            " {\"a\":\"x\\n\\u00e4\\ud83d\\ude00\\/\", \"b\" : 17,\"c\":{\"d\":[1,2,{\"e\":null}]},\"f\":true} "),
        &o, NULL));
    assert_int_equal(o.count, 4);
    assert_ok(json_read_string(json_get(&o, "a"), &s));
    assert_slice_equal(gage_buf_slice(&s), SLICE_LITERAL("x\n\xc3\xa4\xf0\x9f\x98\x80/"));
    assert_ok(json_read_integer(json_get(&o, "b"), &n));
    assert_int_equal(n, 17);
    assert_ok(json_parse_object(json_get(&o, "c").text, &inner, NULL));
    assert_int_equal(json_get(&inner, "d").type, JSON_ARRAY);
    assert_int_equal(json_get(&o, "f").type, JSON_TRUE);
    assert_int_equal(json_get(&o, "nothing").type, JSON_NONE);
    assert_null(json_plain(json_get(&o, "a")).p);
}

TEST(refuses_what_is_not_json)
{
    static const char *const bad[] = {"",
                                      "[]",
                                      "{",
                                      "{}x",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{\"a\":01}",
                                      "{\"a\":1.}",
                                      "{\"a\":.5}",
                                      "{\"a\":1e}",
                                      "{\"a\":+1}",
                                      "{\"a\":'x'}",
                                      "{\"a\":\"\n\"}",
                                      "{\"a\":\"\\x\"}",
                                      "{\"a\":\"\\u12g4\"}",
                                      "{\"a\":\"\\ud800\"}",
                                      "{\"a\":\"\\ud800\\u0041\"}",
                                      "{\"a\":\"\\u0000\"}",
                                      "{\"a\":tru}",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":[1,]}",
                                      "{\"a\":\"\xff\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct json_object o;
        gage_rc rc = json_parse_object(slice_str(bad[i]), &o, NULL);
        if (rc.code != GAGE_E_FORMAT || o.count != 0)
            fail_msg("%s: %s", bad[i], gage_code_name(rc.code));
    }
}

TEST(refuses_depth_and_number_of_members_beyond_the_limit)
{
    AUTO(gage_buf) deep = GAGE_BUF(1000), wide = GAGE_BUF(10000);
    struct json_object o;
    put_bytes(&deep, SLICE_LITERAL("{\"a\":"));
    for (int i = 0; i < 40; i++)
        put_u8(&deep, '[');
    assert_code(json_parse_object(gage_buf_slice(&deep), &o, NULL), GAGE_E_LIMIT);
    put_u8(&wide, '{');
    for (int i = 0; i <= JSON_MEMBERS_MAX; i++) {
        char text[32];
        snprintf(text, sizeof text, "%s\"m%d\":1", i > 0 ? "," : "", i);
        put_bytes(&wide, slice_str(text));
    }
    put_u8(&wide, '}');
    assert_code(json_parse_object(gage_buf_slice(&wide), &o, NULL), GAGE_E_LIMIT);
}

TEST(refuses_integers_that_are_none)
{
    static const char *const bad[] = {"{\"a\":-1}",
                                      "{\"a\":1.0}",
                                      "{\"a\":1e3}",
                                      "{\"a\":\"1\"}",
                                      "{\"a\":9007199254740992}",
                                      "{\"a\":99999999999999999999}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct json_object o;
        int64_t n;
        assert_ok(json_parse_object(slice_str(bad[i]), &o, NULL));
        assert_code(json_read_integer(json_get(&o, "a"), &n), GAGE_E_FORMAT);
    }
}

TEST(reads_back_the_strings_it_writes)
{
    AUTO(gage_buf) text = GAGE_BUF(1000), back = GAGE_BUF(1000);
    static const char all[] = "\x01\x1f \"\\/\x7f\xc3\xa4\xf0\x9f\x98\x80";
    struct json_object o;
    put_bytes(&text, SLICE_LITERAL("{\"s\":"));
    put_json_string(&text, slice_str(all));
    put_u8(&text, '}');
    assert_ok(json_parse_object(gage_buf_slice(&text), &o, NULL));
    assert_ok(json_read_string(json_get(&o, "s"), &back));
    assert_slice_equal(gage_buf_slice(&back), slice_str(all));
}

TEST_MAIN(CASE(reads_members_in_place), CASE(refuses_what_is_not_json),
          CASE(refuses_depth_and_number_of_members_beyond_the_limit), CASE(refuses_integers_that_are_none),
          CASE(reads_back_the_strings_it_writes))
