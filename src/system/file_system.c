/* SPDX-License-Identifier: MIT */
#include "system/file_system.h"

#include <linux/magic.h>
#include <stddef.h>
#include <sys/vfs.h>

/* Newer than the kernel headers of some systems, or in none of them. */
enum { BCACHEFS_MAGIC = (int) 0xca451a4e, EXFAT_MAGIC = 0x2011bab0, NTFS_MAGIC = 0x7366746e, ZFS_MAGIC = 0x2fc12fc1 };
enum { XFS_MAGIC = 0x58465342, F2FS_MAGIC = (int) 0xf2f52010, CIFS_MAGIC = (int) 0xff534d42 };
enum { SMB2_MAGIC = (int) 0xfe534d42, MSDOS_MAGIC = 0x4d44, FUSE_MAGIC = 0x65735546 };

static const struct {
    int magic;
    const char * name;
    enum file_system_kind kind;
} known[] = {
    { EXT4_SUPER_MAGIC, "ext4", FILE_SYSTEM_ON_DISK },
    { XFS_MAGIC, "xfs", FILE_SYSTEM_ON_DISK },
    { F2FS_MAGIC, "f2fs", FILE_SYSTEM_ON_DISK },
    { MSDOS_MAGIC, "vfat", FILE_SYSTEM_ON_DISK },
    { EXFAT_MAGIC, "exfat", FILE_SYSTEM_ON_DISK },
    { NTFS_MAGIC, "ntfs3", FILE_SYSTEM_ON_DISK },
    { BTRFS_SUPER_MAGIC, "btrfs", FILE_SYSTEM_OWN_SPACE },
    { BCACHEFS_MAGIC, "bcachefs", FILE_SYSTEM_OWN_SPACE },
    { ZFS_MAGIC, "zfs", FILE_SYSTEM_OWN_SPACE },
    { TMPFS_MAGIC, "tmpfs", FILE_SYSTEM_IN_MEMORY },
    { RAMFS_MAGIC, "ramfs", FILE_SYSTEM_IN_MEMORY },
    { HUGETLBFS_MAGIC, "hugetlbfs", FILE_SYSTEM_IN_MEMORY },
    { OVERLAYFS_SUPER_MAGIC, "overlayfs", FILE_SYSTEM_LAYERED },
    { NFS_SUPER_MAGIC, "nfs", FILE_SYSTEM_REMOTE },
    { CIFS_MAGIC, "cifs", FILE_SYSTEM_REMOTE },
    { SMB2_MAGIC, "smb", FILE_SYSTEM_REMOTE },
    { V9FS_MAGIC, "9p", FILE_SYSTEM_REMOTE },
    { FUSE_MAGIC, "fuse", FILE_SYSTEM_REMOTE },
};

struct file_system file_system_of(int fd) {
    struct statfs status;
    if (fstatfs(fd, &status) != 0) { return (struct file_system){ 0 }; }
    struct file_system found = { .magic = (long) status.f_type };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if ((int) status.f_type != known[i].magic) { continue; }
        found.name = known[i].name;
        found.kind = known[i].kind;
    }
    return found;
}
