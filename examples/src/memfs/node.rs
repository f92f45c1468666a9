//! One inode: what it is, what is known about it, and who still holds it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use async_fuser::{Errno, FileAttr, FileType, INodeNo};

use super::data::{Data, PAGE};
use super::usage::Usage;
use super::{lock, read, write};

/// An inode. It outlives its last name for as long as the kernel knows it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) ino: u64,
    /// Tells this inode from earlier ones of the same number.
    pub(crate) generation: u64,
    pub(crate) kind: FileType,
    pub(crate) rdev: u32,
    body: Body,
    meta: Mutex<Meta>,
    /// Lookups the kernel has not forgotten, and open files.
    pins: AtomicU64,
    usage: Arc<Usage>,
}

/// What an inode holds beside its attributes. A directory's entries are in the tree.
#[derive(Debug)]
pub(crate) enum Body {
    File(RwLock<Data>),
    Symlink(OsString),
    Nothing,
}

/// The attributes that change.
#[derive(Debug)]
pub(crate) struct Meta {
    pub(crate) perm: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) nlink: u32,
    pub(crate) atime: SystemTime,
    pub(crate) mtime: SystemTime,
    pub(crate) ctime: SystemTime,
    pub(crate) btime: SystemTime,
    pub(crate) xattrs: BTreeMap<OsString, Vec<u8>>,
    /// Made by `O_TMPFILE`: it has no name yet and may get one.
    pub(crate) nameless: bool,
}

impl Node {
    /// Take an inode from `usage`; it is given back when the node is dropped.
    pub(crate) fn new(
        usage: &Arc<Usage>,
        (ino, generation): (u64, u64),
        kind: FileType,
        rdev: u32,
        body: Body,
        meta: Meta,
    ) -> Result<Self, Errno> {
        usage.charge_inode()?;
        let (meta, pins, usage) = (Mutex::new(meta), AtomicU64::new(0), Arc::clone(usage));
        Ok(Self { ino, generation, kind, rdev, body, meta, pins, usage })
    }

    /// The attributes. Where data is wanted too, that lock comes first.
    pub(crate) fn meta(&self) -> MutexGuard<'_, Meta> {
        lock(&self.meta)
    }

    pub(crate) fn data(&self) -> Result<RwLockReadGuard<'_, Data>, Errno> {
        self.file().map(read)
    }

    pub(crate) fn data_mut(&self) -> Result<RwLockWriteGuard<'_, Data>, Errno> {
        self.file().map(write)
    }

    /// What a symbolic link points to.
    pub(crate) fn target(&self) -> Result<&OsStr, Errno> {
        match &self.body {
            Body::Symlink(target) => Ok(target),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind == FileType::Directory
    }

    pub(crate) fn attr(&self) -> FileAttr {
        let (size, blocks) = match &self.body {
            Body::File(data) => {
                let data = read(data);
                (data.size(), data.blocks())
            }
            Body::Symlink(target) => (target.as_bytes().len() as u64, 0),
            Body::Nothing if self.is_directory() => (PAGE, 0),
            Body::Nothing => (0, 0),
        };
        let meta = self.meta();
        FileAttr {
            ino: INodeNo(self.ino),
            size,
            blocks,
            atime: meta.atime,
            mtime: meta.mtime,
            ctime: meta.ctime,
            crtime: meta.btime,
            kind: self.kind,
            perm: meta.perm,
            nlink: meta.nlink,
            uid: meta.uid,
            gid: meta.gid,
            rdev: self.rdev,
            blksize: PAGE as u32,
            flags: 0,
        }
    }

    /// Hold the inode for a lookup or an open file.
    pub(crate) fn pin(&self) {
        self.pins.fetch_add(1, AcqRel);
    }

    /// Let go of it `times`; true when nobody holds it any more.
    pub(crate) fn unpin(&self, times: u64) -> bool {
        let less = |pins: u64| Some(pins.saturating_sub(times));
        self.pins.fetch_update(AcqRel, Acquire, less).is_ok_and(|before| before <= times)
    }

    /// Without a name and held by nobody: to be thrown away.
    pub(crate) fn is_dead(&self) -> bool {
        self.pins.load(Acquire) == 0 && self.meta().nlink == 0
    }

    /// Note that the contents changed. A program that was changed is no longer trusted with
    /// capabilities, nor, when the kernel says to `kill` them, with the set-id bits.
    pub(crate) fn modified(&self, now: SystemTime, kill: bool) {
        let mut meta = self.meta();
        meta.modified(now);
        if kill {
            meta.kill_privileges();
        }
        self.drop_capability(&mut meta);
    }

    pub(crate) fn drop_capability(&self, meta: &mut Meta) {
        if let Some((name, value)) = meta.xattrs.remove_entry(OsStr::new("security.capability")) {
            self.usage.refund(xattr_cost(&name, &value));
        }
    }

    fn file(&self) -> Result<&RwLock<Data>, Errno> {
        match &self.body {
            Body::File(data) => Ok(data),
            Body::Nothing if self.is_directory() => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let meta = self.meta.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        let xattrs = meta.xattrs.iter().map(|(name, value)| xattr_cost(name, value)).sum();
        self.usage.refund(xattrs);
        self.usage.refund_inode();
    }
}

impl Meta {
    /// Attributes of something made now, without a name and without permissions.
    pub(crate) fn new(uid: u32, gid: u32) -> Self {
        let now = SystemTime::now();
        let (atime, mtime, ctime, btime) = (now, now, now, now);
        Self {
            perm: 0,
            uid,
            gid,
            nlink: 0,
            atime,
            mtime,
            ctime,
            btime,
            xattrs: BTreeMap::new(),
            nameless: false,
        }
    }

    /// The contents changed.
    pub(crate) fn modified(&mut self, now: SystemTime) {
        self.mtime = now;
        self.ctime = now;
    }

    /// The attributes changed.
    pub(crate) fn changed(&mut self, now: SystemTime) {
        self.ctime = now;
    }

    /// The contents were read: noted as `relatime` does, after a change or once a day.
    pub(crate) fn accessed(&mut self, now: SystemTime) {
        let stale = now.duration_since(self.atime).is_ok_and(|age| age >= DAY);
        if self.atime <= self.mtime || self.atime <= self.ctime || stale {
            self.atime = now;
        }
    }

    /// Clear what would let others act as the owner: set-user-id, and set-group-id of a program.
    pub(crate) fn kill_privileges(&mut self) {
        let perm = u32::from(self.perm);
        self.perm &= !(libc::S_ISUID as u16);
        if perm & libc::S_IXGRP != 0 {
            self.perm &= !(libc::S_ISGID as u16);
        }
    }
}

/// What an extended attribute is charged with.
pub(crate) fn xattr_cost(name: &OsStr, value: &[u8]) -> u64 {
    (name.as_bytes().len() + value.len()) as u64
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn reading_is_noted_after_a_change_and_then_once_a_day() {
        let day = |n: u32| UNIX_EPOCH + DAY * n;
        let mut meta = Meta { atime: day(1), mtime: day(2), ctime: day(2), ..Meta::new(0, 0) };
        meta.accessed(day(2) + Duration::from_secs(1));
        let noted = meta.atime;
        assert!(noted > meta.mtime);
        meta.accessed(noted + DAY / 2);
        assert_eq!(meta.atime, noted);
        meta.accessed(noted + DAY);
        assert_eq!(meta.atime, noted + DAY);
    }

    #[test]
    fn set_group_id_without_execution_means_something_else_and_stays() {
        let mut meta = Meta { perm: 0o6711, ..Meta::new(0, 0) };
        meta.kill_privileges();
        assert_eq!(meta.perm, 0o711);
        let mut meta = Meta { perm: 0o6704, ..Meta::new(0, 0) };
        meta.kill_privileges();
        assert_eq!(meta.perm, 0o2704);
    }

    #[test]
    fn pins_are_counted_and_never_go_below_none() {
        let usage = Arc::new(Usage::new(super::super::Limits { bytes: 0, inodes: 1, links: 1 }));
        let node =
            Node::new(&usage, (2, 0), FileType::NamedPipe, 0, Body::Nothing, Meta::new(0, 0))
                .unwrap();
        node.pin();
        node.pin();
        assert!(!node.unpin(1));
        assert!(!node.is_dead());
        assert!(node.unpin(5));
        assert!(node.is_dead());
        assert_eq!(usage.free_inodes(), 0);
        drop(node);
        assert_eq!(usage.free_inodes(), 1);
    }
}
