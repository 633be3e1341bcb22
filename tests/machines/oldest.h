/*
 * Nothing newer than the oldest libraries that this is built with: meson setup -Dassume_oldest=true includes it before every
 * file, and whoever uses a name that libcurl 7.76, libfuse 3.10, OpenSSL 3.0, jansson 2.13, glibc 2.34 or Linux 5.10 did not
 * have gets an error, whatever is installed here. What is newer has its replacement in kmsapi/base/libcurl.h,
 * fs/base/kernel_calls.h or fs/worker/fuse_device.h.
 *
 * The names are those of the newest headers that are not in the oldest, or of a library's versioned symbols.
 */
#pragma once

/* else the compiler warns of macros that it forgets */
#pragma GCC system_header

/* those that have the names themselves: afterwards nobody may say them */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/fuse.h>
#include <sched.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <uchar.h>
#include <unistd.h>
#include <wchar.h>

/* -- libcurl 7.76: its headers of 8.21 ------------------------------------------------------- */

#if __has_include(<curl/curl.h>)
/* it warns of what it has something newer for */
#define CURL_DISABLE_DEPRECATION
#include <curl/curl.h>
#undef LIBCURL_VERSION_NUM
#define LIBCURL_VERSION_NUM 0x074c00
#endif
#pragma GCC poison CURLAUTH_HTTPSIG CURLE_ECH_REQUIRED CURLE_SETOPT_OPTION_SYNTAX CURLE_SSL_CLIENTCERT CURLE_TOO_LARGE
#pragma GCC poison CURLE_UNRECOVERABLE_POLL CURLFOLLOW_ALL CURLFOLLOW_FIRSTONLY CURLFOLLOW_OBEYCODE CURLHE_BADINDEX
#pragma GCC poison CURLHE_BAD_ARGUMENT CURLHE_MISSING CURLHE_NOHEADERS CURLHE_NOREQUEST CURLHE_NOT_BUILT_IN CURLHE_OK
#pragma GCC poison CURLHE_OUT_OF_MEMORY CURLHTTPSIG_ED25519 CURLHTTPSIG_HMAC_SHA256 CURLHTTPSIG_NONE CURLH_1XX CURLH_CONNECT
#pragma GCC poison CURLH_HEADER CURLH_PSEUDO CURLH_TRAILER CURLHcode CURLINFO_CAINFO CURLINFO_CAPATH CURLINFO_CONN_ID
#pragma GCC poison CURLINFO_EARLYDATA_SENT_T CURLINFO_HTTPAUTH_USED CURLINFO_POSTTRANSFER_TIME_T CURLINFO_PROXYAUTH_USED
#pragma GCC poison CURLINFO_QUEUE_TIME_T CURLINFO_SIZE_DELIVERED CURLINFO_USED_PROXY CURLINFO_XFER_ID CURLMIMEOPT_FORMESCAPE
#pragma GCC poison CURLMINFO_XFERS_ADDED CURLMINFO_XFERS_CURRENT CURLMINFO_XFERS_DONE CURLMINFO_XFERS_PENDING
#pragma GCC poison CURLMINFO_XFERS_RUNNING CURLMNOTIFY_EASY_DONE CURLMNOTIFY_INFO_READ CURLMNWC_CLEAR_ALL CURLMNWC_CLEAR_CONNS
#pragma GCC poison CURLMNWC_CLEAR_DNS CURLMOPT_NETWORK_CHANGED CURLMOPT_NOTIFYDATA CURLMOPT_NOTIFYFUNCTION CURLMOPT_QUICK_EXIT
#pragma GCC poison CURLMOPT_RESOLVE_THREADS_MAX CURLM_ABORTED_BY_CALLBACK CURLM_UNRECOVERABLE_POLL CURLOPT_CAINFO_BLOB
#pragma GCC poison CURLOPT_CA_CACHE_TIMEOUT CURLOPT_ECH CURLOPT_HAPROXY_CLIENT_IP CURLOPT_HTTPSIG_ALGORITHM
#pragma GCC poison CURLOPT_HTTPSIG_HEADERS CURLOPT_HTTPSIG_KEY CURLOPT_HTTPSIG_KEYID CURLOPT_MAIL_RCPT_ALLOWFAILS
#pragma GCC poison CURLOPT_MAXLIFETIME_CONN CURLOPT_MIME_OPTIONS CURLOPT_PREREQDATA CURLOPT_PREREQFUNCTION CURLOPT_PROTOCOLS_STR
#pragma GCC poison CURLOPT_PROXY_CAINFO_BLOB CURLOPT_QUICK_EXIT CURLOPT_REDIR_PROTOCOLS_STR CURLOPT_SERVER_RESPONSE_TIMEOUT_MS
#pragma GCC poison CURLOPT_SSH_HOSTKEYDATA CURLOPT_SSH_HOSTKEYFUNCTION CURLOPT_SSH_HOST_PUBLIC_KEY_SHA256
#pragma GCC poison CURLOPT_SSL_SIGNATURE_ALGORITHMS CURLOPT_TCP_KEEPCNT CURLOPT_UPLOAD_FLAGS CURLOPT_WS_OPTIONS CURLPROXY_HTTPS2
#pragma GCC poison CURLPROXY_HTTPS3 CURLSSLBACKEND_AWSLC CURLSSLOPT_AUTO_CLIENT_CERT CURLSSLOPT_EARLYDATA CURLUE_BACKSLASH
#pragma GCC poison CURLUE_BAD_FILE_URL CURLUE_BAD_FRAGMENT CURLUE_BAD_HOSTNAME CURLUE_BAD_IPV6 CURLUE_BAD_LOGIN
#pragma GCC poison CURLUE_BAD_PASSWORD CURLUE_BAD_PATH CURLUE_BAD_QUERY CURLUE_BAD_SCHEME CURLUE_BAD_SLASHES CURLUE_BAD_USER
#pragma GCC poison CURLUE_LACKS_IDN CURLUE_NO_ZONEID CURLUE_TOO_LARGE CURLULFLAG_ANSWERED CURLULFLAG_DELETED CURLULFLAG_DRAFT
#pragma GCC poison CURLULFLAG_FLAGGED CURLULFLAG_SEEN CURLU_ALLOW_SPACE CURLU_GET_EMPTY CURLU_NO_GUESS_SCHEME CURLU_PUNY2IDN
#pragma GCC poison CURLU_PUNYCODE CURLWS_BINARY CURLWS_CLOSE CURLWS_CONT CURLWS_NOAUTOPONG CURLWS_OFFSET CURLWS_PING CURLWS_PONG
#pragma GCC poison CURLWS_RAW_MODE CURLWS_TEXT CURL_HTTP_VERSION_3ONLY CURL_LOCK_DATA_HSTS CURL_PREREQFUNC_ABORT
#pragma GCC poison CURL_PREREQFUNC_OK CURL_VERSION_THREADSAFE CURL_WRITEFUNC_ERROR curl_easy_header curl_easy_nextheader
#pragma GCC poison curl_easy_ssls_export curl_easy_ssls_import curl_global_trace curl_header curl_multi_get_handles
#pragma GCC poison curl_multi_get_offt curl_multi_notify_disable curl_multi_notify_enable curl_multi_waitfds curl_notify_callback
#pragma GCC poison curl_prereq_callback curl_sshhostkeycallback curl_ssls_export_cb curl_url_strerror curl_ws_frame curl_ws_meta
#pragma GCC poison curl_ws_recv curl_ws_send curl_ws_start_frame

/* -- libfuse 3.10: its headers of 3.17 ------------------------------------------------------- */

#if __has_include(<fuse_lowlevel.h>)
#define FUSE_USE_VERSION 310
#include <fuse_lowlevel.h>
#undef FUSE_MINOR_VERSION
#define FUSE_MINOR_VERSION 10
#endif
#pragma GCC poison FUSE_CAP_DIRECT_IO_ALLOW_MMAP FUSE_CAP_EXPIRE_ONLY FUSE_CAP_HANDLE_KILLPRIV_V2 FUSE_CAP_NO_EXPORT_SUPPORT
#pragma GCC poison FUSE_CAP_PASSTHROUGH FUSE_CAP_SETXATTR_EXT FUSE_FILL_DIR_DEFAULTS FUSE_LL_EXPIRE_ONLY FUSE_LL_INVALIDATE
#pragma GCC poison FUSE_READDIR_DEFAULTS fuse_custom_io fuse_get_feature_flag fuse_log_close_syslog fuse_log_enable_syslog
#pragma GCC poison fuse_loop_cfg_convert fuse_loop_cfg_create fuse_loop_cfg_destroy fuse_loop_cfg_set_clone_fd
#pragma GCC poison fuse_loop_cfg_set_idle_threads fuse_loop_cfg_set_max_threads fuse_loop_config_v1
#pragma GCC poison fuse_lowlevel_notify_expire_entry fuse_notify_entry_flags fuse_passthrough_close fuse_passthrough_open
#pragma GCC poison fuse_session_custom_io fuse_set_fail_signal_handlers fuse_set_feature_flag fuse_unset_feature_flag capable_ext
#pragma GCC poison want_ext noflush parallel_direct_writes no_interrupt

/* -- linux/fuse.h of 5.10, and others of Linux's -------------------------------------------- */

#pragma GCC poison FUSE_ALLOW_IDMAP FUSE_ATTR_DAX FUSE_ATTR_SUBMOUNT FUSE_COMPAT_SETXATTR_IN_SIZE FUSE_COPY_FILE_RANGE_64
#pragma GCC poison FUSE_CREATE_SUPP_GROUP FUSE_DEV_IOC_BACKING_CLOSE FUSE_DEV_IOC_BACKING_OPEN FUSE_DEV_IOC_MAGIC
#pragma GCC poison FUSE_DEV_IOC_SYNC_INIT FUSE_DIRECT_IO_ALLOW_MMAP FUSE_DIRECT_IO_RELAX FUSE_EXPIRE_ONLY FUSE_EXT_GROUPS
#pragma GCC poison FUSE_HANDLE_KILLPRIV_V2 FUSE_HAS_EXPIRE_ONLY FUSE_HAS_INODE_DAX FUSE_HAS_RESEND FUSE_INIT_BSWAP_RESERVED
#pragma GCC poison FUSE_INIT_EXT FUSE_INIT_RESERVED FUSE_INVALID_UIDGID FUSE_IO_URING_CMD_COMMIT_AND_FETCH
#pragma GCC poison FUSE_IO_URING_CMD_INVALID FUSE_IO_URING_CMD_REGISTER FUSE_MAP_ALIGNMENT FUSE_MAX_NR_SECCTX
#pragma GCC poison FUSE_NOTIFY_INC_EPOCH FUSE_NOTIFY_PRUNE FUSE_NOTIFY_RESEND FUSE_NO_EXPORT_SUPPORT FUSE_OPEN_KILL_SUIDGID
#pragma GCC poison FUSE_OVER_IO_URING FUSE_PASSTHROUGH FUSE_REC_ALIGN FUSE_REMOVEMAPPING FUSE_REMOVEMAPPING_MAX_ENTRY
#pragma GCC poison FUSE_REQUEST_TIMEOUT FUSE_SECURITY_CTX FUSE_SETUPMAPPING FUSE_SETUPMAPPING_FLAG_READ
#pragma GCC poison FUSE_SETUPMAPPING_FLAG_WRITE FUSE_SETXATTR_ACL_KILL_SGID FUSE_SETXATTR_EXT FUSE_STATX FUSE_SUBMOUNTS
#pragma GCC poison FUSE_SYNCFS FUSE_TMPFILE FUSE_UNIQUE_RESEND FUSE_URING_IN_OUT_HEADER_SZ FUSE_URING_OP_IN_OUT_SZ
#pragma GCC poison FUSE_WRITE_KILL_SUIDGID flags2 max_stack_depth
#pragma GCC poison MFD_EXEC MFD_NOEXEC_SEAL PR_SET_MDWE PR_SET_VMA STATX_DIOALIGN STATX_MNT_ID_UNIQUE STATX_SUBVOL SO_PASSPIDFD
#pragma GCC poison SO_PEERPIDFD

/* -- jansson 2.13: its header of 2.15 ------------------------------------------------------- */

#if __has_include(<jansson.h>)
#include <jansson.h>
#endif
#pragma GCC poison json_get_alloc_funcs2 json_object_deln json_object_getn json_object_iter_key_len json_object_keylen_foreach
#pragma GCC poison json_object_keylen_foreach_safe json_object_setn json_object_setn_new json_object_setn_new_nocheck
#pragma GCC poison json_object_setn_nocheck json_realloc_t json_set_alloc_funcs2

/* -- OpenSSL 3.0.0; what came with 3.1 and later is not in Debian 12 ------------------------- */

#include <openssl/asn1.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#pragma GCC poison OPENSSL_strcasecmp OPENSSL_strncasecmp OSSL_CMP_CTX_reset_geninfo_ITAVs OSSL_CMP_MSG_update_recipNonce

/* -- glibc 2.34: the symbols of 2.35 to 2.41 ------------------------------------------------- */

#pragma GCC poison arc4random arc4random_buf arc4random_uniform c8rtomb epoll_pwait2 fsconfig fsmount fsopen fspick mbrtoc8
#pragma GCC poison mount_setattr move_mount open_tree pidfd_getfd pidfd_getpid pidfd_open pidfd_send_signal pidfd_spawn
#pragma GCC poison pidfd_spawnp posix_spawn_file_actions_addtcsetpgrp_np posix_spawnattr_getcgroup_np
#pragma GCC poison posix_spawnattr_setcgroup_np process_madvise process_mrelease sched_getattr sched_setattr strlcat strlcpy
#pragma GCC poison wcslcat wcslcpy mount_attr stdc_bit_ceil stdc_bit_floor stdc_bit_width stdc_count_ones stdc_count_zeros
#pragma GCC poison stdc_first_leading_one stdc_first_trailing_one stdc_has_single_bit stdc_leading_zeros stdc_trailing_zeros
