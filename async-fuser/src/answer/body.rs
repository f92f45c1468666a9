//! What each answer looks like to the kernel: the bodies behind the header.

use std::time::Duration;

use zerocopy::{Immutable, IntoBytes};

use crate::abi::*;
use crate::types::attr::{fuse_attr, fuse_statx};
use crate::types::{FileAttr, FileHandle, FopenFlags, Generation, PollEvents, StatxAttr};

pub(crate) fn entry(
    entry_ttl: &Duration,
    attr_ttl: &Duration,
    attr: &FileAttr,
    generation: Generation,
) -> fuse_entry_out {
    fuse_entry_out {
        nodeid: attr.ino.0,
        generation: generation.0,
        entry_valid: entry_ttl.as_secs(),
        attr_valid: attr_ttl.as_secs(),
        entry_valid_nsec: entry_ttl.subsec_nanos(),
        attr_valid_nsec: attr_ttl.subsec_nanos(),
        attr: fuse_attr(attr),
    }
}

/// An entry that does not exist, and that the kernel may remember for `ttl`.
pub(crate) fn negative_entry(ttl: &Duration) -> fuse_entry_out {
    fuse_entry_out {
        entry_valid: ttl.as_secs(),
        entry_valid_nsec: ttl.subsec_nanos(),
        ..Default::default()
    }
}

pub(crate) fn attr(ttl: &Duration, attr: &FileAttr) -> fuse_attr_out {
    fuse_attr_out {
        attr_valid: ttl.as_secs(),
        attr_valid_nsec: ttl.subsec_nanos(),
        attr: fuse_attr(attr),
        ..Default::default()
    }
}

pub(crate) fn statx(ttl: &Duration, statx: &StatxAttr) -> fuse_statx_out {
    fuse_statx_out {
        attr_valid: ttl.as_secs(),
        attr_valid_nsec: ttl.subsec_nanos(),
        stat: fuse_statx(statx),
        ..Default::default()
    }
}

/// `backing` is the id of the file the kernel uses by itself.
pub(crate) fn opened(fh: FileHandle, flags: FopenFlags, backing: Option<u32>) -> fuse_open_out {
    let flags = match backing {
        Some(_) => flags | FopenFlags::FOPEN_PASSTHROUGH,
        None => flags & !FopenFlags::FOPEN_PASSTHROUGH,
    };
    fuse_open_out {
        fh: fh.0,
        open_flags: flags.bits(),
        backing_id: backing.unwrap_or_default() as i32,
    }
}

/// The body of an answer to CREATE and TMPFILE.
#[repr(C)]
#[derive(Immutable, IntoBytes)]
pub(crate) struct CreatedBody {
    pub(crate) entry: fuse_entry_out,
    pub(crate) open: fuse_open_out,
}

pub(crate) fn written(size: u32) -> fuse_write_out {
    fuse_write_out { size, padding: 0 }
}

pub(crate) fn copied(bytes: u64) -> fuse_copy_file_range_out {
    fuse_copy_file_range_out { bytes_copied: bytes }
}

#[allow(clippy::too_many_arguments, reason = "the fields of struct statvfs")]
pub(crate) fn statfs(
    blocks: u64,
    bfree: u64,
    bavail: u64,
    files: u64,
    ffree: u64,
    bsize: u32,
    namelen: u32,
    frsize: u32,
) -> fuse_statfs_out {
    fuse_statfs_out {
        st: fuse_kstatfs {
            blocks,
            bfree,
            bavail,
            files,
            ffree,
            bsize,
            namelen,
            frsize,
            ..Default::default()
        },
    }
}

pub(crate) fn lock(start: u64, end: u64, typ: i32, pid: u32) -> fuse_lk_out {
    fuse_lk_out { lk: fuse_file_lock { start, end, r#type: typ as u32, pid } }
}

pub(crate) fn block(block: u64) -> fuse_bmap_out {
    fuse_bmap_out { block }
}

pub(crate) fn xattr_size(size: u32) -> fuse_getxattr_out {
    fuse_getxattr_out { size, padding: 0 }
}

pub(crate) fn ioctl(result: i32) -> fuse_ioctl_out {
    fuse_ioctl_out { result, ..Default::default() }
}

pub(crate) fn poll(events: PollEvents) -> fuse_poll_out {
    fuse_poll_out { revents: events.bits(), padding: 0 }
}

pub(crate) fn offset(offset: i64) -> fuse_lseek_out {
    fuse_lseek_out { offset: offset as u64 }
}

#[cfg(target_os = "macos")]
pub(crate) fn xtimes(
    bkuptime: std::time::SystemTime,
    crtime: std::time::SystemTime,
) -> fuse_getxtimes_out {
    use crate::types::attr::time_to_wire;

    let (bkuptime, bkuptimensec) = time_to_wire(bkuptime);
    let (crtime, crtimensec) = time_to_wire(crtime);
    fuse_getxtimes_out {
        bkuptime: bkuptime as u64,
        crtime: crtime as u64,
        bkuptimensec,
        crtimensec,
    }
}
