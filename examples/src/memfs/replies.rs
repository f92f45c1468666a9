//! What the kernel is told: what it may do, results as replies, and how long it may keep them.

use std::ffi::OsString;
use std::time::Duration;

use async_fuser::{
    Errno, FileAttr, FileHandle, FileType, FopenFlags, InitFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatx, ReplyWrite, ReplyXattr,
    StatxAttr,
};

use super::MemFs;
use super::store::Entry;

impl MemFs {
    /// What the kernel may do, as far as it can.
    pub(crate) fn capabilities(&self) -> InitFlags {
        let mut wanted = InitFlags::FUSE_ASYNC_READ
            | InitFlags::FUSE_ASYNC_DIO
            | InitFlags::FUSE_ATOMIC_O_TRUNC
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_CACHE_SYMLINKS
            | InitFlags::FUSE_EXPORT_SUPPORT
            | InitFlags::FUSE_EXPLICIT_INVAL_DATA
            | InitFlags::FUSE_HANDLE_KILLPRIV_V2
            | InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_READDIRPLUS_AUTO;
        if self.options.writeback {
            wanted |= InitFlags::FUSE_WRITEBACK_CACHE;
        }
        if !self.options.kernel_locks {
            wanted |= InitFlags::FUSE_POSIX_LOCKS | InitFlags::FUSE_FLOCK_LOCKS;
        }
        wanted
    }

    /// Names are remembered, unless every walk over them is to be checked anew.
    pub(crate) fn entry_ttl(&self) -> Duration {
        if self.options.check_permissions { Duration::ZERO } else { TTL }
    }

    /// Attributes are remembered too. Of a file in the writeback cache the kernel knows the size
    /// and the times, but not how much room was taken for what it sent in the background.
    pub(crate) fn attr_ttl(&self, attr: &FileAttr) -> Duration {
        let written_back = self.options.writeback && attr.kind == FileType::RegularFile;
        if written_back { Duration::ZERO } else { TTL }
    }

    pub(crate) fn enter(&self, reply: ReplyEntry, result: Result<Entry, Errno>) {
        match result {
            Ok(Entry { attr, generation }) => {
                reply.entry_with_ttls(&self.attr_ttl(&attr), &self.entry_ttl(), &attr, generation);
            }
            Err(error) => reply.error(error),
        }
    }

    pub(crate) fn describe(&self, reply: ReplyAttr, result: Result<FileAttr, Errno>) {
        match result {
            Ok(attr) => reply.attr(&self.attr_ttl(&attr), &attr),
            Err(error) => reply.error(error),
        }
    }

    pub(crate) fn describe_all(&self, reply: ReplyStatx, result: Result<FileAttr, Errno>) {
        match result {
            Ok(attr) => {
                let statx = StatxAttr { btime: Some(attr.crtime), ..StatxAttr::from(attr) };
                reply.statx(&self.attr_ttl(&attr), &statx);
            }
            Err(error) => reply.error(error),
        }
    }

    pub(crate) fn created(&self, reply: ReplyCreate, result: Result<(Entry, u64), Errno>) {
        match result {
            Ok((Entry { attr, generation }, handle)) => {
                let ttl = self.entry_ttl().min(self.attr_ttl(&attr));
                reply.created(&ttl, &attr, generation, FileHandle(handle), OPENED);
            }
            Err(error) => reply.error(error),
        }
    }
}

pub(crate) fn opened(reply: ReplyOpen, result: Result<u64, Errno>) {
    match result {
        Ok(handle) => reply.opened(FileHandle(handle), OPENED),
        Err(error) => reply.error(error),
    }
}

pub(crate) fn written(reply: ReplyWrite, result: Result<u64, Errno>) {
    match result {
        // The answer to a write has room for 32 bits and that is enough; a copy may be larger.
        Ok(bytes) => reply.copied(bytes),
        Err(error) => reply.error(error),
    }
}

pub(crate) fn target(reply: ReplyData, result: Result<OsString, Errno>) {
    match result {
        Ok(target) => reply.data(target.as_encoded_bytes()),
        Err(error) => reply.error(error),
    }
}

pub(crate) fn offset(reply: ReplyLseek, result: Result<i64, Errno>) {
    match result {
        Ok(offset) => reply.offset(offset),
        Err(error) => reply.error(error),
    }
}

pub(crate) fn done(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

/// A caller with room for no bytes asks how many there are.
pub(crate) fn xattr(reply: ReplyXattr, size: u32, result: Result<Vec<u8>, Errno>) {
    match result {
        Ok(value) if size == 0 => reply.size(value.len() as u32),
        Ok(value) if value.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(value) => reply.data(&value),
        Err(error) => reply.error(error),
    }
}

/// Nothing changes behind the kernel's back.
const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Cached pages stay valid from one opening to the next.
const OPENED: FopenFlags = FopenFlags::FOPEN_KEEP_CACHE;
