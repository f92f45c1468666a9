//! Results as the replies of the sync face.

use std::ffi::OsString;

use async_fuser::{
    Errno, FileAttr, FileHandle, ReplyAttr, ReplyCreate, ReplyData, ReplyEmpty, ReplyEntry,
    ReplyLseek, ReplyOpen, ReplyStatx, ReplyWrite, ReplyXattr,
};

use super::MemFs;
use super::requests::{OPENED, with_birth};
use super::store::Entry;

impl MemFs {
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
                reply.statx(&self.attr_ttl(&attr), &with_birth(attr));
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
