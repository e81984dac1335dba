/* The proxy daemon's configuration: the main file and, after a NUL, one of the folder. What is taken is taken the same again, names whole
 * services, and is shown; what is refused is refused in one line. */
#include "fuzz/place.h"
#include "proxyd/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static gage_rc
load(const char *file, struct conf **conf)
{
    struct gage_err err = {.code = GAGE_OK};
    const struct conf_source source = {.file = file, .folder = place_folder, .socket = "/run/default.sock"};
    gage_rc rc = conf_read(&source, conf, &err);
    require(gage_ok(rc) || (*conf == NULL && err.text[0] != '\0' && strpbrk(err.text, "\n\r\t\x7f") == NULL));
    return rc;
}

static void
look_at(const struct conf *conf)
{
    AUTO(gage_buf) shown = GAGE_BUF(8 << 20);
    conf_show(conf, &shown);
    require(!shown.bad && conf->service_count > 0 && conf->settings.worker_threads >= 0);
    for (size_t i = 0; i < conf->service_count; i++) {
        const struct service *s = &conf->services[i];
        require(s->index == i && s->mech_count > 0 && s->mech_count <= CONF_MECHS_MAX &&
                s->store_count <= CONF_STORE_MAX);
        require(service_socket(conf, s) != NULL && (s->euid != CONF_NO_UID || s->allow_any_uid));
        for (size_t j = 0; j < s->mech_count; j++)
            require(service_has_mech(s, &s->mechs[j]));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *file, *fragment;
    struct conf *conf = NULL, *again = NULL;
    if (file == NULL) {
        file = place_of("main.conf");
        fragment = place_of("10-part.conf");
    }
    const uint8_t *nul = n > 0 ? memchr(data, 0, n) : NULL;
    size_t first = nul != NULL ? (size_t)(nul - data) : n;
    place_write(file, gage_slice_of(data, first));
    place_write(fragment, nul != NULL ? gage_slice_of(nul + 1, n - first - 1) : SLICE_NONE);
    if (!gage_ok(load(file, &conf)))
        return 0;
    look_at(conf);
    require(gage_ok(load(file, &again)) && again->service_count == conf->service_count &&
            again->warning_count == conf->warning_count);
    for (size_t i = 0; i < conf->service_count; i++)
        require(memcmp(conf->services[i].policy, again->services[i].policy, SHA256_LEN) == 0);
    conf_unref(&conf);
    conf_unref(&again);
    return 0;
}
