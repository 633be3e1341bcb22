/*
 * ~/.alibabacloud/credentials, credentials.ini and ~/.aliyun/config.json as people have them, and what must come out: what
 * the vendor's SDKs (Go, Java, Python, Node.js) and its command line read there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kmsapi/credentials/chain.h"

static const char ini[] = ".alibabacloud/credentials", ini2[] = ".alibabacloud/credentials.ini",
                  cli[] = ".aliyun/config.json";
static const char *const files[] = {ini, ini2, cli};

static char home[] = "/tmp/aapfs-credentials-XXXXXX";
static char reason[1024];

/* -- one question ------------------------------------------------------------------------------ */

static char ran[256];          /* the words of the last program, each ended by | */
static const char *to_print;   /* by the next one */

static int run(void *user, char *const *words, unsigned int timeout_ms, char *output, size_t output_size, char *why,
               size_t size)
{
    ran[0] = '\0';
    for (size_t i = 0; words[i]; i++)
        snprintf(ran + strlen(ran), sizeof(ran) - strlen(ran), "%s|", words[i]);
    snprintf(output, output_size, "%s", to_print);
    return 0;
}

static void write_bytes(const char *name, const char *text, size_t length)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", home, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void write_file(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static void remove_files(void)
{
    char path[128];
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", home, files[i]);
        unlink(path);
    }
}

/* "ID SECRET TOKEN", "-" for no token; or "! " and the reason. */
static const char *ask(const char *provider, int64_t *life_s)
{
    static char answer[1200];
    const struct credentials_source_options options = {
        .run = run, .metadata = "http://127.0.0.1:1", .sts = "http://127.0.0.1:1", .timeout_ms = 500, .pause_ms = 1};
    int64_t clock_offset_s = 0;
    const struct fetching fetching = {.options = &options, .given_up = -1, .clock_offset_s = &clock_offset_s};
    struct chain *chain = NULL;
    struct session session = {0};
    reason[0] = '\0';
    assert_int_equal(chain_new(provider, &chain, reason, sizeof(reason)), 0);
    int r = chain_fetch(chain, &fetching, false, &session, reason, sizeof(reason));
    const struct credentials *given = &session.credentials;
    if (r == 0)
        snprintf(answer, sizeof(answer), "%s %s %s", given->access_key_id, given->access_key_secret,
                 given->security_token ? given->security_token : "-");
    else
        snprintf(answer, sizeof(answer), "! %s", reason);
    *life_s = session.life_s;
    credentials_clear(&session.credentials);
    chain_free(chain);
    return answer;
}

/* WANTED: what ask() says, or "! " and words of the reason. */
static void check(const char *name, const char *answer, const char *wanted)
{
    bool good = wanted[0] == '!' ? answer[0] == '!' && strstr(answer, wanted + 2) != NULL : strcmp(answer, wanted) == 0;
    if (!good)
        fail_msg("%s: %s, and not %s", name, answer, wanted);
    if (strstr(reason, "odd-secret"))
        fail_msg("%s tells a secret: %s", name, reason);
}

/* -- the ini files ------------------------------------------------------------------------------- */

#define AK "type = access_key\naccess_key_id = LTAI1\naccess_key_secret = s1\n"
#define GOOD "LTAI1 s1 -"

static const struct {
    const char *name, *text, *profile; /* NULL: default */
    const char *wanted;
} sections[] = {
    {"as the README of credentials-java prints it",
     "[default]                          # default setting\n"
     "enable = true                      # Enable，Enabled by default if this option is not present\n"
     "type = access_key                  # Certification type: access_key\n"
     "access_key_id = LTAI1              # Key\n"
     "access_key_secret = s1             # Secret\n\n"
     "[client1]                          # configuration that is named as `client1`\n"
     "type = ecs_ram_role                # Certification type: ecs_ram_role\n"
     "role_name = EcsRamRoleTest         # Role Name\n\n"
     "[client2]                          # configuration that is named as `client2`\n"
     "enable = false                     # Disable\n"
     "type = ram_role_arn                # Certification type: ram_role_arn\n", NULL, GOOD},
    {"the same, switched off", "[default]  # 默认配置\nenable = false   # 不启用\n" AK, NULL, "! profile default is switched off"},
    {"switched off in other letters", "[default]\nenable=False\n" AK, NULL, "! switched off"},
    {"what is not true is off", "[default]\nenable = 0\n" AK, NULL, "! switched off"},
    {"switched on", "[default]\nenable = TRUE\n" AK, NULL, GOOD},
    {"another one is switched off", "[other]\nenable = false\n[default]\n" AK, NULL, GOOD},
    {"a byte-order mark", "\xef\xbb\xbf[default]\n" AK, NULL, GOOD},
    {"a byte-order mark and a comment", "\xef\xbb\xbf# mine\n[default]\n" AK, NULL, GOOD},
    {"CRLF", "[default]\r\ntype = access_key\r\naccess_key_id = LTAI1\r\naccess_key_secret = s1\r\n", NULL, GOOD},
    {"CRLF and comments", "[default] # x\r\ntype = access_key # x\r\naccess_key_id = LTAI1\t; x\r\naccess_key_secret = s1 ;x\r\n",
     NULL, GOOD},
    {"no newline at its end", "[default]\ntype=access_key\naccess_key_id=LTAI1\naccess_key_secret=s1", NULL, GOOD},
    {"tabs and blanks", "\t[ default ]\t\n\ttype\t=\taccess_key\t\n  access_key_id  =  LTAI1  \n\taccess_key_secret\t=\ts1\t\n", NULL,
     GOOD},
    {"double quotes", "[default]\ntype = \"access_key\"\naccess_key_id = \"LTAI1\"\naccess_key_secret = \"s1\" # mine\n", NULL, GOOD},
    {"single quotes", "[default]\ntype = 'access_key'\naccess_key_id='LTAI1'\naccess_key_secret = 's1'\n", NULL, GOOD},
    {"backquotes", "[default]\ntype = `access_key`\naccess_key_id=`LTAI1`\naccess_key_secret = `s1`\n", NULL, GOOD},
    {"in quotes nothing is a comment", "[default]\ntype=access_key\naccess_key_id=LTAI1\naccess_key_secret=\"a#b;c\"", NULL,
     "LTAI1 a#b;c -"},
    {"a quote within", "[default]\ntype=access_key\naccess_key_id=LTAI1\naccess_key_secret=s\"1\"s\n", NULL, "LTAI1 s\"1\"s -"},
    {"a quote that stays open", "[default]\ntype=access_key\naccess_key_id=LTAI1\naccess_key_secret=\"s1\n", NULL, "LTAI1 \"s1 -"},
    {"colons", "[default]\ntype: access_key\naccess_key_id:LTAI1\naccess_key_secret : s1\n", NULL, GOOD},
    {"what looks like a comment belongs to the secret", "[default]\ntype=access_key\naccess_key_id=LTAI1\n"
     "access_key_secret=a#b;c=d:e\n", NULL, "LTAI1 a#b;c=d:e -"},
    {"a secret that begins so", "[default]\ntype=access_key\naccess_key_id=LTAI1\naccess_key_secret=#b\n", NULL, "LTAI1 #b -"},
    {"upper-case keys", "[default]\nTYPE = access_key\nACCESS_KEY_ID = LTAI1\nAccess_Key_Secret = s1\n", NULL, GOOD},
    {"an upper-case type", "[default]\ntype = ACCESS_KEY\naccess_key_id = LTAI1\naccess_key_secret = s1\n", NULL, GOOD},
    {"the last one of two", "[default]\n" AK "access_key_id = LTAI2\n", NULL, "LTAI2 s1 -"},
    {"a section in two parts", "[default]\ntype = access_key\n[x]\ny = z\n[default]\naccess_key_id = LTAI1\naccess_key_secret = s1\n",
     NULL, GOOD},
    {"unknown keys", "[default]\nregion_id = cn-hangzhou\nhost =\nbearer_token = x\n" AK, NULL, GOOD},
    {"keys without a section before it", "a = b\n[default]\n" AK, NULL, GOOD},
    {"comments", "; x\n  # y\n#[default]\n[default]\n;type = x\n" AK "   ; z", NULL, GOOD},
    {"a name with a blank", "[my profile]\n" AK, "my profile", GOOD},
    {"a name with a slash, a dot and a colon", "[a/b.c:d]\n" AK, "a/b.c:d", GOOD},
    {"a name that is not ASCII", "[生产]\n" AK, "生产", GOOD},
    {"a name with brackets", "[a]b]\n" AK, "a]b", GOOD},
    {"a name in other letters is another one", "[Default]\n" AK, NULL, "! (profile default)"},
    {"of the default section none is the default", "[DEFAULT]\n" AK, NULL, "! (profile default)"},
    {"a policy over several lines", "[default]\npolicy = {\n    \"Version\": \"1\",\n\t\"Statement\": []\n  }\n" AK, NULL, GOOD},
    {"lines that go on", "[default]\npolicy = {\\\n\"Version\": \"1\"}\ntype = access_key\naccess_key_id = LT\\\n  AI1\n"
     "access_key_secret = s1\n", NULL, GOOD},
    {"a session", "[default]\ntype = sts\naccess_key_id = STS.a\naccess_key_secret = s\nsecurity_token = t+/=\n", NULL, "STS.a s t+/="},
    {"a session without its token", "[default]\ntype = sts\naccess_key_id = STS.a\naccess_key_secret = odd-secret\n", NULL,
     "! security_token is missing"},
    {"a role", "[default]\ntype = ram_role_arn\naccess_key_id = LTAI1\naccess_key_secret = odd-secret # x\nrole_arn = acs:ram::1:role/r # x\n"
     "role_session_name = s # x\nrole_session_expiration = 900\n", NULL, "! 127.0.0.1: Could"},
    {"a role for a strange time", "[default]\ntype = ram_role_arn\naccess_key_id = LTAI1\naccess_key_secret = odd-secret\n"
     "role_arn = a\nrole_session_expiration = 1h\n", NULL, "! role_session_expiration is not a whole number"},
    {"nothing", "", NULL, "! (profile default)"},
    {"a mark alone", "\xef\xbb\xbf", NULL, "! (profile default)"},
    {"no type", "[default]\naccess_key_id = LTAI1\naccess_key_secret = odd-secret\n", NULL, "! type (none) is not supported"},
    {"no secret", "[default]\ntype = access_key\naccess_key_id = LTAI1\naccess_key_secret = # none\n", NULL,
     "! the access key secret: is missing"},
    {"no line of the kind", "[default]\ntype = access_key\nodd-secret\n", NULL, "! credentials: line 3: expected"},
    {"nor behind one that goes on", "[default]\na = b\\\n\\\nc\nodd-secret\n", NULL, "! credentials: line 5: expected"},
    {"what stands in other sections", "[x]\npolicy = {\n\"Version\": \"1\"\n}\nnonsense\n[default]\n" AK "[y]\nnonsense\n", NULL, GOOD},
    {"a section that is not closed", "[x]\na = b\n[default\n" AK, NULL, "! credentials: line 3: expected"},
    {"a secret with a blank", "[default]\ntype = access_key\naccess_key_id = LTAI1\naccess_key_secret = odd-secret x\n", NULL,
     "! not printable ASCII"},
};

static void a_section_is_read_as_the_sdks_do(void **state)
{
    char provider[64];
    int64_t life_s;
    const char *const names[] = {ini, ini2};
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
            remove_files();
            write_file(names[f], sections[i].text);
            snprintf(provider, sizeof(provider), "profile:%s", sections[i].profile ? sections[i].profile : "default");
            const char *wanted = sections[i].wanted, *answer = ask(provider, &life_s);
            if (f == 1 && strncmp(wanted, "! credentials: ", 15) == 0)
                wanted = "! credentials.ini: line";
            check(sections[i].name, answer, wanted);
            assert_int_equal(life_s, 0);
        }
}

static void of_two_files_each_is_found(void **state)
{
    static const char first[] = "[default]\n" AK "[off]\nenable = false\n" AK,
                      second[] = "[default]\ntype = access_key\naccess_key_id = LTAI2\naccess_key_secret = s2\n"
                                 "[off]\ntype = access_key\naccess_key_id = LTAI3\naccess_key_secret = s3\n"
                                 "[only]\ntype = access_key\naccess_key_id = LTAI4\naccess_key_secret = s4\n";
    int64_t life_s;
    char named[128];
    remove_files();
    check("none", ask("profile:default", &life_s), "! .alibabacloud/credentials or credentials.ini)");
    write_file(ini, first);
    write_file(ini2, second);
    check("in both", ask("profile:default", &life_s), GOOD);
    check("switched off in the first", ask("profile:off", &life_s), "LTAI3 s3 -");
    check("in the second", ask("profile:only", &life_s), "LTAI4 s4 -");
    check("in none", ask("profile:none", &life_s), "! credentials file (profile none)");
    snprintf(named, sizeof(named), "%s/%s", home, ini2);
    setenv("ALIBABA_CLOUD_CREDENTIALS_FILE", named, 1);
    check("a file that is named", ask("profile:default", &life_s), "LTAI2 s2 -");
    write_file(ini2, "[x]\n");
    check("is the only one", ask("profile:default", &life_s), "! (profile default)");
    unsetenv("ALIBABA_CLOUD_CREDENTIALS_FILE");
    write_file(ini, "nonsense");
    check("one that is broken is said so", ask("profile:only", &life_s), "! credentials: line 1");
    remove_files();
    write_bytes(ini, "\xff\xfe[\0d\0", 6);
    check("UTF-16", ask("profile:only", &life_s), "! credentials: is in UTF-16; save it as UTF-8");
    write_bytes(ini, "[d]\0", 4);
    check("NUL", ask("profile:only", &life_s), "! credentials: holds a NUL");
}

static void a_profile_that_is_off_leaves_the_turn_to_the_next_provider(void **state)
{
    int64_t life_s;
    remove_files();
    setenv("ALIBABA_CLOUD_PROFILE", "p", 1);
    write_file(ini, "[p]\nenable = false\n" AK);
    check("off", ask("default", &life_s), "! not set up: systemd (CREDENTIALS_DIRECTORY)");
    assert_non_null(strstr(reason, "profile p is switched off"));
    write_file(ini, "[p]\n" AK);
    check("on", ask("default", &life_s), GOOD);
    write_file(cli, "{\"profiles\": [{\"name\": \"p\", \"mode\": \"AK\", \"access_key_id\": \"LTAI9\", \"access_key_secret\": \"s9\"}]}");
    check("config.json first", ask("default", &life_s), "LTAI9 s9 -");
    unsetenv("ALIBABA_CLOUD_PROFILE");
}

/* -- config.json --------------------------------------------------------------------------------- */

#define KEY "\"access_key_id\": \"LTAI1\", \"access_key_secret\": \"s1\""
#define SESSION "\"access_key_id\": \"STS.a\", \"access_key_secret\": \"s\", \"sts_token\": \"t\""

/* MEMBERS: of the profile "p". */
static const struct {
    const char *name, *members, *wanted;
} profiles[] = {
    {"a key", "\"mode\": \"AK\", " KEY, GOOD},
    {"a mode in small letters", "\"mode\": \"ak\", " KEY, GOOD},
    {"members in other letters", "\"Mode\": \"AK\", \"Access_Key_Id\": \"LTAI1\", \"ACCESS_KEY_SECRET\": \"s1\"", GOOD},
    {"the one that is written right", "\"MODE\": \"x\", \"mode\": \"AK\", " KEY, GOOD},
    {"the last one of two", "\"mode\": \"x\", \"mode\": \"AK\", " KEY, GOOD},
    {"unknown and null members", "\"mode\": \"AK\", " KEY ", \"sts_token\": null, \"more\": {\"a\": [1, null]}, \"region_id\": \"\", "
     "\"output_format\": \"json\", \"language\": \"zh\", \"site\": \"\", \"retry_timeout\": 0", GOOD},
    {"what this mode does not need may be anything", "\"mode\": \"AK\", " KEY ", \"expired_seconds\": \"x\", \"enable_vpc\": 7, "
     "\"sts_expiration\": \"x\", \"ram_role_arn\": 5, \"policy\": {}", GOOD},
    {"a key with an earlier token", "\"mode\": \"AK\", " KEY ", \"sts_token\": \"t\", \"sts_expiration\": 1", GOOD},
    {"a session", "\"mode\": \"StsToken\", " SESSION, "STS.a s t"},
    {"a session and an earlier login's end", "\"mode\": \"StsToken\", " SESSION ", \"sts_expiration\": 1700000000", "STS.a s t"},
    {"a session and an end of no type", "\"mode\": \"ststoken\", " SESSION ", \"sts_expiration\": \"\"", "STS.a s t"},
    {"a session with an empty token", "\"mode\": \"StsToken\", " KEY ", \"sts_token\": \"\"", "! sts_token is missing"},
    {"a login that holds", "\"mode\": \"CloudSSO\", " SESSION ", \"sts_expiration\": 32503680000, \"cloud_sso_sign_in_url\": \"x\"",
     "STS.a s t"},
    {"a login in other letters", "\"mode\": \"cloudsso\", " SESSION ", \"sts_expiration\": \"32503680000\"", "STS.a s t"},
    {"a login that is over", "\"mode\": \"CloudSSO\", " SESSION ", \"sts_expiration\": 1700000000",
     "! profile p: the session in the file ended at 2023-11-14T22:13:20Z; log in again: "
     "aliyun configure --profile p --mode CloudSSO"},
    {"a login without an end", "\"mode\": \"CloudSSO\", " SESSION, "! the file holds no session; log in again: aliyun configure"},
    {"a login without a session", "\"mode\": \"CloudSSO\", \"access_token\": \"x\", \"sts_expiration\": 32503680000",
     "! the file holds no session; log in again: aliyun configure --profile p --mode CloudSSO"},
    {"a login with an empty token", "\"mode\": \"OAuth\", " KEY ", \"sts_token\": \"\", \"sts_expiration\": 32503680000",
     "! the file holds no session"},
    {"another login that holds", "\"mode\": \"OAuth\", " SESSION ", \"sts_expiration\": 32503680000, \"oauth_site_type\": \"CN\"",
     "STS.a s t"},
    {"another login that is over", "\"mode\": \"OAuth\", " SESSION ", \"sts_expiration\": 1700000000",
     "! log in again: aliyun configure --profile p --mode OAuth"},
    {"a role for a login that is over", "\"mode\": \"ChainableRamRoleArn\", \"source_profile\": \"over\", \"ram_role_arn\": \"a\"",
     "! profile p: profile over: the session in the file ended at"},
    {"a role, numbers as strings", "\"mode\": \"RamRoleArn\", \"ram_role_arn\": \"a\", \"expired_seconds\": \"900\", "
     "\"enable_vpc\": \"false\", " KEY, "! 127.0.0.1: Could"},
    {"a role, what is empty", "\"mode\": \"RamRoleArn\", \"ram_role_arn\": \"a\", \"expired_seconds\": \"\", \"enable_vpc\": null, "
     "\"policy\": \"\", \"external_id\": null, " KEY, "! 127.0.0.1: Could"},
    {"a role for a strange time", "\"mode\": \"RamRoleArn\", \"ram_role_arn\": \"a\", \"expired_seconds\": \"15m\", " KEY,
     "! expired_seconds is not a whole number"},
    {"a role for half a second", "\"mode\": \"RamRoleArn\", \"ram_role_arn\": \"a\", \"expired_seconds\": 900.5, " KEY,
     "! expired_seconds is not a whole number"},
    {"a role somewhere", "\"mode\": \"RamRoleArn\", \"ram_role_arn\": \"a\", \"enable_vpc\": \"perhaps\", " KEY,
     "! enable_vpc is neither true nor false"},
    {"no mode", "\"mode\": \"\", \"region_id\": \"cn-hangzhou\"", "! mode is missing; set it up: aliyun configure --profile p"},
    {"null for a mode", "\"mode\": null, " KEY, "! mode is missing"},
    {"a number for an id", "\"mode\": \"AK\", \"access_key_id\": 5, \"access_key_secret\": \"odd-secret\"",
     "! access_key_id is not a string"},
    {"a secret with a newline", "\"mode\": \"AK\", \"access_key_id\": \"LTAI1\", \"access_key_secret\": \"odd-secret\\n\"",
     "! not printable ASCII"},
};

static void write_profile(const char *members)
{
    char text[2048];
    snprintf(text, sizeof(text), "{\"current\": \"over\", \"profiles\": [null, {}, {\"name\": null}, {\"name\": \"p\", %s}, "
             "{\"name\": \"p\", \"mode\": \"later\"}, {\"name\": \"over\", \"mode\": \"CloudSSO\", " SESSION
             ", \"sts_expiration\": 1700000000}], \"meta_path\": \"\"}", members);
    write_file(cli, text);
}

static void a_profile_is_read_as_the_sdks_do(void **state)
{
    int64_t life_s;
    remove_files();
    for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
        write_profile(profiles[i].members);
        const char *answer = ask("profile:p", &life_s);
        check(profiles[i].name, answer, profiles[i].wanted);
        bool login = answer[0] != '!' && strstr(profiles[i].members, "32503680000");
        assert_int_equal(life_s > 0, login); /* renewed, from the file, before its end */
    }
}

static const struct {
    const char *name, *text, *wanted;
} whole[] = {
    {"a byte-order mark and CRLF", "\xef\xbb\xbf{\r\n\"current\": \"p\",\r\n\"profiles\": [{\"name\": \"p\", \"mode\": \"AK\", " KEY "}]}\r\n",
     GOOD},
    {"without current", "{\"profiles\": [{\"name\": \"default\", \"mode\": \"AK\", " KEY "}]}", GOOD},
    {"an empty current", "{\"current\": \"\", \"profiles\": [{\"name\": \"default\", \"mode\": \"AK\", " KEY "}]}", GOOD},
    {"null for current", "{\"current\": null, \"profiles\": [{\"name\": \"default\", \"mode\": \"AK\", " KEY "}], \"x\": 1}", GOOD},
    {"names in other letters", "{\"Current\": \"p\", \"Profiles\": [{\"Name\": \"p\", \"mode\": \"AK\", " KEY "}]}", GOOD},
    {"an odd name", "{\"current\": \"a b/生 'x\\\"\", \"profiles\": [{\"name\": \"a b/生 'x\\\"\", \"mode\": \"AK\", " KEY "}]}", GOOD},
    {"nothing", "", "! config.json: it is empty"},
    {"blanks", " \r\n", "! config.json: it is empty"},
    {"no profiles", "{}", "! profile (profile default)"},
    {"null for profiles", "{\"current\": \"p\", \"profiles\": null}", "! profile (profile p)"},
    {"no object", "[]", "! config.json: not a JSON object"},
    {"cut off", "{\"current\": \"odd-secret", "! config.json: not a JSON object"},
};

static void a_whole_file_is_read_as_the_sdks_do(void **state)
{
    int64_t life_s;
    remove_files();
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        write_file(cli, whole[i].text);
        check(whole[i].name, ask("default", &life_s), whole[i].wanted);
    }
}

/* -- programs ------------------------------------------------------------------------------------ */

#define NEXT "\"access_key_id\": \"STS.a\", \"access_key_secret\": \"s\", \"sts_token\": \"t\", \"expiration\": "

static const struct {
    const char *name, *printed, *wanted;
    int64_t ends; /* seconds since 1970; 0: not known */
} outputs[] = {
    {"no mode", "{" KEY "}", GOOD, 0},
    {"no mode, a session", "{" SESSION "}\n", "STS.a s t", 0},
    {"an empty mode", "{\"mode\": \"\", " SESSION "}", "STS.a s t", 0},
    {"an empty token", "{\"mode\": \"AK\", " KEY ", \"sts_token\": \"\", \"expiration\": \"\"}", GOOD, 0},
    {"null for them", "{\"mode\": null, " KEY ", \"sts_token\": null, \"expiration\": null}", GOOD, 0},
    {"a session in mode AK", "{\"mode\": \"AK\", " SESSION "}", "STS.a s t", 0},
    {"a fraction", "{" NEXT "\"2999-01-02T03:04:05.678901Z\"}", "STS.a s t", 32472241445},
    {"an offset", "{" NEXT "\"2999-01-02T11:04:05+08:00\"}", "STS.a s t", 32472241445},
    {"both", "{" NEXT "\"2999-01-01T22:34:05.5-0430\"}", "STS.a s t", 32472241445},
    {"plain", "{\"mode\": \"StsToken\", " NEXT "\"2999-01-02T03:04:05Z\"}", "STS.a s t", 32472241445},
    {"no time that anybody knows", "{" NEXT "\"tomorrow\"}", "STS.a s t", 0},
    {"over", "{" NEXT "\"2001-01-02T11:04:05+08:00\"}", "! the session is over already", 0},
    {"a session without its token", "{\"mode\": \"StsToken\", " KEY "}", "! sts_token is missing", 0},
    {"no secret", "{\"access_key_id\": \"LTAI1\", \"sts_token\": \"odd-secret\"}", "! the access key secret: is missing", 0},
};

static void what_a_program_prints_is_read_as_the_sdks_do(void **state)
{
    int64_t life_s;
    remove_files();
    write_profile("\"mode\": \"External\", \"process_command\": \"helper 'a b'\"");
    for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
        to_print = outputs[i].printed;
        check(outputs[i].name, ask("profile:p", &life_s), outputs[i].wanted);
        int64_t ends = life_s ? life_s + time(NULL) : 0;
        if (llabs((long long)(ends - outputs[i].ends)) > 2)
            fail_msg("%s: ends at %lld", outputs[i].name, (long long)ends);
    }
}

static const struct {
    const char *command, *words; /* as JSON; "": refused */
} commands[] = {
    {"helper 'a b'", "helper|a b|"},
    {"helper --to \\\\\\n  here", "helper|--to|here|"},
    {"helper --to \\\\\\r\\n  here", "helper|--to|here|"},
    {"helper a\\\\\\nb \\\"c\\\\\\nd\\\"", "helper|ab|cd|"},
    {"helper 'a\\\\\\nb'", "helper|a\\\nb|"},
    {"helper \\\\\\n", "helper|"},
    {"helper \\\"\\\\$a \\\\`b \\\\c\\\"", "helper|$a `b \\c|"},
    {"  helper\\t\\\"\\\" \\n", "helper||"},
    {"/opt/my\\\\ helper x", "/opt/my helper|x|"},
    {"helper x\\\\", ""},
    {"\\\"\\\" x", ""},
    {"\\\\\\n", ""},
};

static void a_command_is_split_as_the_sdks_do(void **state)
{
    char members[256];
    int64_t life_s;
    to_print = "{" KEY "}";
    remove_files();
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        snprintf(members, sizeof(members), "\"mode\": \"External\", \"process_command\": \"%s\"", commands[i].command);
        write_profile(members);
        ran[0] = '\0';
        check(commands[i].command, ask("profile:p", &life_s), commands[i].words[0] ? GOOD : "! no command line");
        assert_string_equal(ran, commands[i].words);
    }
}

static int make_home(void **state)
{
    char path[128];
    static const char *const directories[] = {"", "/.alibabacloud", "/.aliyun"};
    clearenv();
    if (!mkdtemp(home))
        return -1;
    for (size_t i = 1; i < 3; i++) {
        snprintf(path, sizeof(path), "%s%s", home, directories[i]);
        if (mkdir(path, 0700) < 0)
            return -1;
    }
    return setenv("HOME", home, 1) || setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true", 1);
}

static int remove_home(void **state)
{
    char path[128];
    static const char *const directories[] = {"/.alibabacloud", "/.aliyun", ""};
    remove_files();
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s%s", home, directories[i]);
        rmdir(path);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_section_is_read_as_the_sdks_do),
        cmocka_unit_test(of_two_files_each_is_found),
        cmocka_unit_test(a_profile_that_is_off_leaves_the_turn_to_the_next_provider),
        cmocka_unit_test(a_profile_is_read_as_the_sdks_do),
        cmocka_unit_test(a_whole_file_is_read_as_the_sdks_do),
        cmocka_unit_test(what_a_program_prints_is_read_as_the_sdks_do),
        cmocka_unit_test(a_command_is_split_as_the_sdks_do),
    };
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
