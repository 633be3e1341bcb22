/*
 * A read-only bind mount that nobody can make writable again, whatever the capabilities: see bind.h. For a process of
 * one thread that ends soon: it changes its mount namespace on the way.
 *
 * Source: mount_namespaces(7), "Restrictions on mount namespaces": what a less privileged mount namespace got from a
 * more privileged one has its flags locked; a copy (open_tree(2), OPEN_TREE_CLONE) of such a mount keeps the lock.
 */
#pragma once

/*
 * Mounts the directory SOURCE (any descriptor of it) at TARGET, an absolute path of a directory; nosuid, nodev and
 * noexec, too. 0; or negative errno, and *STEP says what failed.
 */
int locked_mount_make(int source, const char *target, const char **step);
