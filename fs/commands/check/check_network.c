#include "fs/commands/check/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "kmsapi/base/probe.h"

static void tell_name(struct check *check, const struct probe *probe)
{
    if (probe->failed == PROBE_NAME)
        check_error(check, "name", "%s: %s; see region, endpoint and proxy, and /etc/resolv.conf", probe->host,
                    probe->reason);
    else if (probe->literal)
        check_ok(check, "name", "%s is an address", probe->host);
    else
        check_ok(check, "name", "%s is %s", probe->host, probe->addresses);
}

static void tell_connection(struct check *check, const struct probe *probe)
{
    if (probe->failed == PROBE_CONNECTION)
        check_error(check, "connection", "%s; is the way to it open (firewall, route, VPC), and is a proxy needed or in "
                    "the way?", probe->reason);
    else
        check_ok(check, "connection", "to %s", probe->peer);
}

static void tell_tls(struct check *check, const struct probe *probe)
{
    if (!probe->tls)
        check_ok(check, "TLS", "none: the endpoint is this machine's");
    else if (probe->failed == PROBE_TLS)
        check_error(check, "TLS", "%s; is it KMS that answers? Where a certificate authority of your own signs, name it: "
                    "ca_file", probe->reason);
    else
        check_ok(check, "TLS", "certificate by %s, until %s", probe->issuer, probe->ends);
}

/* It is for STS as well, whether KMS's endpoint has TLS or not. False where it is given and no good. */
static bool check_ca_file(struct check *check)
{
    const char *path = check->config->ca_file;
    if (!path[0])
        return true;
    FILE *file = fopen(path, "re");
    if (!file) {
        check_error(check, "ca_file", "%s: %s; the worker reads it as its user, without capabilities", path,
                    strerror(errno));
        return false;
    }
    X509 *certificate = PEM_read_X509_AUX(file, NULL, NULL, NULL);
    fclose(file);
    ERR_clear_error();
    if (!certificate)
        check_error(check, "ca_file", "%s: there is no certificate in PEM in it; name the authority's", path);
    X509_free(certificate);
    return certificate;
}

void check_network(struct check *check)
{
    const struct config *config = check->config;
    const struct probe_options options = {
        .endpoint = config->endpoint,
        .ca_file = config->ca_file[0] ? config->ca_file : NULL,
        .proxy = config->proxy,
        .timeout_ms = config->request_timeout_ms,
    };
    struct probe probe;
    probe_run(&options, &probe);
    if (probe.failed == PROBE_ENDPOINT) {
        check_error(check, "endpoint", "%s: %s", config->endpoint, probe.reason);
        return;
    }
    check_ok(check, "endpoint", "%s", config->endpoint);
    if (probe.proxy[0])
        check_ok(check, "proxy", "%s%s", probe.proxy, config->proxy[0] ? "" : ", from the environment");
    else
        check_ok(check, "proxy", "none");
    tell_name(check, &probe);
    if (probe.failed > PROBE_NAME)
        tell_connection(check, &probe);
    bool good_ca_file = check_ca_file(check);
    if (probe.failed > PROBE_CONNECTION && (good_ca_file || !probe.tls))
        tell_tls(check, &probe);
    check->reachable = probe.failed == PROBE_ALL;
}
