//! Attributes: reading them and changing them.

use std::time::SystemTime;

use async_fuser::{Errno, FileAttr, TimeOrNow};

use super::node::{Meta, Node};
use super::perm::{Caller, EXECUTE, READ, WRITE};
use super::store::Store;

/// What a `setattr` changes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changes {
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) size: Option<u64>,
    pub(crate) atime: Option<TimeOrNow>,
    pub(crate) mtime: Option<TimeOrNow>,
    /// Sent by a kernel that keeps the times itself (its writeback cache), never on a process's behalf.
    pub(crate) ctime: Option<SystemTime>,
    /// Through a file that is open for writing: permission for that was checked when it was opened.
    pub(crate) open: bool,
    /// The new size takes the set-id bits from a program.
    pub(crate) kill_privileges: bool,
}

impl Store {
    pub(crate) fn getattr(&self, ino: u64) -> Result<FileAttr, Errno> {
        Ok(self.node(ino)?.attr())
    }

    pub(crate) fn setattr(
        &self,
        caller: &Caller,
        ino: u64,
        changes: Changes,
    ) -> Result<FileAttr, Errno> {
        let node = self.node(ino)?;
        if self.checks {
            permit(caller, &node, &changes)?;
        }
        if let Some(size) = changes.size {
            node.data_mut()?.truncate(size)?;
        }
        self.apply(caller, &node, &changes);
        Ok(node.attr())
    }

    /// `access(2)`, asked only when permissions are checked here.
    pub(crate) fn access(&self, caller: &Caller, ino: u64, mask: u32) -> Result<(), Errno> {
        let node = self.node(ino)?;
        caller.may(mask & (READ | WRITE | EXECUTE), node.kind, &node.meta())
    }

    fn apply(&self, caller: &Caller, node: &Node, changes: &Changes) {
        let now = SystemTime::now();
        let mut meta = node.meta();
        if changes.uid.is_some() || changes.gid.is_some() {
            if !node.is_directory() {
                meta.kill_privileges();
                node.drop_capability(&mut meta);
            }
            meta.uid = changes.uid.unwrap_or(meta.uid);
            meta.gid = changes.gid.unwrap_or(meta.gid);
        }
        if let Some(mode) = changes.mode {
            meta.perm = (mode & 0o7777) as u16;
            // The kernel does this too, when it is the one to check.
            if self.checks && !caller.is_root() && !caller.is_in_group(meta.gid) {
                meta.perm &= !(libc::S_ISGID as u16);
            }
        }
        if changes.size.is_some() {
            meta.mtime = now;
            if changes.kill_privileges {
                meta.kill_privileges();
            }
            node.drop_capability(&mut meta);
        }
        meta.atime = changes.atime.map_or(meta.atime, |atime| at(atime, now));
        meta.mtime = changes.mtime.map_or(meta.mtime, |mtime| at(mtime, now));
        meta.ctime = changes.ctime.unwrap_or(now);
    }
}

fn at(time: TimeOrNow, now: SystemTime) -> SystemTime {
    match time {
        TimeOrNow::SpecificTime(time) => time,
        TimeOrNow::Now => now,
    }
}

/// Whether `caller` may make all of `changes`.
fn permit(caller: &Caller, node: &Node, changes: &Changes) -> Result<(), Errno> {
    let meta: &Meta = &node.meta();
    let owner = caller.owns(meta);
    let gives_away = changes.uid.is_some_and(|uid| uid != meta.uid);
    let foreign = |gid: u32| gid != meta.gid && !caller.is_in_group(gid);
    let sets_owner = changes.uid.is_some() || changes.gid.is_some();
    if sets_owner && !caller.is_root() && (!owner || gives_away || changes.gid.is_some_and(foreign))
    {
        return Err(Errno::EPERM);
    }
    if changes.mode.is_some() && !owner {
        return Err(Errno::EPERM);
    }
    let times = [changes.atime, changes.mtime];
    let specific = times.iter().any(|time| matches!(time, Some(TimeOrNow::SpecificTime(_))));
    if specific && !owner && changes.ctime.is_none() {
        return Err(Errno::EPERM);
    }
    let touches = times.iter().any(|time| matches!(time, Some(TimeOrNow::Now)));
    if (touches && !owner) || (changes.size.is_some() && !changes.open) {
        caller.may(WRITE, node.kind, meta)?;
    }
    Ok(())
}
