//! Extended attributes.
//!
//! `user.`, `trusted.` and `security.` are stored. POSIX ACLs (`system.posix_acl_access` and
//! `system.posix_acl_default`) are refused: to store them without obeying them would be a lie.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

use async_fuser::{Errno, FileType};

use super::node::{Meta, Node, xattr_cost};
use super::perm::{Caller, READ, WRITE};
use super::store::Store;

/// The longest value, and the longest list of names. The kernel's own bounds are the same.
const MAX: usize = 64 << 10;

impl Store {
    /// Set an attribute. `flags` may insist that it is new (`XATTR_CREATE`) or is not (`XATTR_REPLACE`).
    pub(crate) fn setxattr(
        &self,
        caller: &Caller,
        ino: u64,
        name: &OsStr,
        value: &[u8],
        flags: i32,
    ) -> Result<(), Errno> {
        let node = self.node(ino)?;
        self.check_xattr(caller, &node, name, WRITE)?;
        if flags & !(libc::XATTR_CREATE | libc::XATTR_REPLACE) != 0 {
            return Err(Errno::EINVAL);
        }
        if value.len() > MAX {
            return Err(Errno::E2BIG);
        }
        let mut meta = node.meta();
        let old = meta.xattrs.get(name).map(|old| xattr_cost(name, old));
        match old {
            Some(_) if flags & libc::XATTR_CREATE != 0 => return Err(Errno::EEXIST),
            None if flags & libc::XATTR_REPLACE != 0 => return Err(Errno::NO_XATTR),
            None if names(&meta).len() + name.as_bytes().len() >= MAX => return Err(Errno::ENOSPC),
            _ => {}
        }
        let (new, old) = (xattr_cost(name, value), old.unwrap_or(0));
        self.usage.charge(new.saturating_sub(old))?;
        self.usage.refund(old.saturating_sub(new));
        meta.xattrs.insert(name.to_owned(), value.to_owned());
        meta.changed(SystemTime::now());
        Ok(())
    }

    pub(crate) fn getxattr(
        &self,
        caller: &Caller,
        ino: u64,
        name: &OsStr,
    ) -> Result<Vec<u8>, Errno> {
        let node = self.node(ino)?;
        self.check_xattr(caller, &node, name, READ)?;
        let meta = node.meta();
        meta.xattrs.get(name).cloned().ok_or(Errno::NO_XATTR)
    }

    /// The names, each with a zero byte behind it. `trusted.` ones are for root only.
    pub(crate) fn listxattr(&self, caller: &Caller, ino: u64) -> Result<Vec<u8>, Errno> {
        let node = self.node(ino)?;
        let mut meta = node.meta();
        if caller.is_root() {
            return Ok(names(&meta));
        }
        let meta: &mut Meta = &mut meta;
        let visible = meta.xattrs.keys().filter(|name| !name.as_bytes().starts_with(b"trusted."));
        Ok(join(visible.map(|name| name.as_os_str())))
    }

    pub(crate) fn removexattr(&self, caller: &Caller, ino: u64, name: &OsStr) -> Result<(), Errno> {
        let node = self.node(ino)?;
        self.check_xattr(caller, &node, name, WRITE)?;
        let mut meta = node.meta();
        let old = meta.xattrs.remove(name).ok_or(Errno::NO_XATTR)?;
        meta.changed(SystemTime::now());
        drop(meta);
        self.usage.refund(xattr_cost(name, &old));
        Ok(())
    }

    fn check_xattr(
        &self,
        caller: &Caller,
        node: &Node,
        name: &OsStr,
        mask: u32,
    ) -> Result<(), Errno> {
        let bytes = name.as_bytes();
        let Some(dot) = bytes.iter().position(|byte| *byte == b'.') else {
            return Err(Errno::EOPNOTSUPP);
        };
        let (namespace, rest) = bytes.split_at(dot + 1);
        if bytes.len() > super::names::NAME_MAX {
            return Err(Errno::ERANGE);
        }
        match namespace {
            b"user." | b"trusted." | b"security." if rest.is_empty() => Err(Errno::EINVAL),
            b"user." => {
                // On a link or a device the permission bits say something else.
                if !matches!(node.kind, FileType::RegularFile | FileType::Directory) {
                    return Err(if mask == READ { Errno::NO_XATTR } else { Errno::EPERM });
                }
                self.check(caller, mask, node)
            }
            b"trusted." if !caller.is_root() => {
                Err(if mask == READ { Errno::NO_XATTR } else { Errno::EPERM })
            }
            b"trusted." => Ok(()),
            b"security." if self.checks && mask == WRITE && !caller.is_root() => Err(Errno::EPERM),
            b"security." => Ok(()),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }
}

fn names(meta: &Meta) -> Vec<u8> {
    join(meta.xattrs.keys().map(|name| name.as_os_str()))
}

fn join<'a>(names: impl Iterator<Item = &'a OsStr>) -> Vec<u8> {
    names.flat_map(|name| name.as_bytes().iter().copied().chain([0])).collect()
}
