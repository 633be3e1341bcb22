/*
 * Has libcurl and jansson wipe what they free: URLs and JSON texts hold passwords and keys. Call
 * once, at the start of a process, before any other thread and any other use of the two.
 */
#pragma once

/* 0, or -ENOMEM when libcurl cannot be set up. */
int wiping_memory_install(void);
