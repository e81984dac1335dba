#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <krb5.h>

#include "base/clock.h"
#include "proxyd/explain.h"

#define SKEW_NOTED 30
#define SKEW_REFUSED 300 /* Kerberos's default */
#define TIME_DIGITS 14

/* stime of a KRB-ERROR: [4] KerberosTime, in DER always these four bytes before YYYYMMDDHHMMSSZ. 0 where there is none. */
static time_t
time_in(const krb5_data *reply)
{
    static const uint8_t head[] = {0xa4, 0x11, 0x18, 0x0f};
    const char *p = reply->length > 0 ? memmem(reply->data, reply->length, head, sizeof head) : NULL;
    char text[TIME_DIGITS + 1];
    struct tm tm = {0};
    if (p == NULL || (size_t)(reply->data + reply->length - p) < sizeof head + TIME_DIGITS)
        return 0;
    memcpy(text, p + sizeof head, TIME_DIGITS);
    text[TIME_DIGITS] = '\0';
    const char *end = strptime(text, "%Y%m%d%H%M%S", &tm);
    return end != NULL && *end == '\0' ? timegm(&tm) : 0;
}

static krb5_error_code
on_reply(krb5_context context, void *data, krb5_error_code code, const krb5_data *realm, const krb5_data *message,
         const krb5_data *reply, krb5_data **new_reply)
{
    time_t *kdc = data;
    (void)context;
    (void)realm;
    (void)message;
    *new_reply = NULL;
    if (code == 0 && reply != NULL && *kdc == 0)
        *kdc = time_in(reply);
    return code;
}

/* Asks for a ticket that nobody can get. The KDC's time, or 0 with the reason. */
static time_t
ask_kdc(char *why, size_t size)
{
    krb5_context context = NULL;
    krb5_principal nobody = NULL;
    krb5_creds creds;
    time_t kdc = 0;
    memset(&creds, 0, sizeof creds);
    snprintf(why, size, "Kerberos cannot be initialised: see krb5.conf");
    if (krb5_init_context(&context) != 0)
        return 0;
    krb5_set_kdc_recv_hook(context, on_reply, &kdc);
    krb5_error_code failed = krb5_parse_name(context, "gage-doctor/clock", &nobody);
    if (failed == 0)
        failed = krb5_get_init_creds_password(context, &creds, nobody, "", NULL, NULL, 0, NULL, NULL);
    const char *text = krb5_get_error_message(context, failed);
    snprintf(why, size, "%s", text);
    krb5_free_error_message(context, text);
    krb5_free_cred_contents(context, &creds);
    krb5_free_principal(context, nobody);
    krb5_free_context(context);
    return kdc;
}

bool
explain_clock(bool needed)
{
    char why[300], amount[32], found[400];
    time_t kdc = ask_kdc(why, sizeof why);
    if (kdc == 0) {
        snprintf(found, sizeof found, "the KDC's clock cannot be asked: %s", why);
        explain_say(needed ? EXPLAIN_BAD : EXPLAIN_NOTE, "proxy clock", found,
                    "name the realm's kdc in krb5.conf, and check that it runs and the network reaches it");
        return !needed;
    }
    int64_t skew = clock_now() - (int64_t)kdc, size = skew < 0 ? -skew : skew;
    snprintf(amount, sizeof amount, "%lld s", (long long)size);
    if (size <= SKEW_NOTED) {
        snprintf(found, sizeof found, "agrees with the KDC's to %s", amount);
        explain_say(EXPLAIN_GOOD, "proxy clock", found, "");
        return true;
    }
    snprintf(found, sizeof found, "this machine's clock is %s %s the KDC's", amount, skew < 0 ? "behind" : "ahead of");
    explain_say(size > SKEW_REFUSED ? EXPLAIN_BAD : EXPLAIN_NOTE, "proxy clock", found,
                "set the clock (timedatectl set-ntp true): Kerberos refuses requests beyond five minutes");
    return size <= SKEW_REFUSED;
}
