//! Who may do what. Asked only when the kernel does not decide by itself (`default_permissions`).

use std::fs;

use async_fuser::{Errno, FileType, Request};

use super::node::Meta;

pub(crate) const READ: u32 = libc::R_OK as u32;
pub(crate) const WRITE: u32 = libc::W_OK as u32;
pub(crate) const EXECUTE: u32 = libc::X_OK as u32;

/// The process a request is from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) pid: u32,
}

impl From<&Request> for Caller {
    fn from(request: &Request) -> Self {
        Self { uid: request.uid(), gid: request.gid(), pid: request.pid() }
    }
}

impl Caller {
    /// User 0 stands for all capabilities: a request does not carry them.
    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Whether the caller owns the file or may do as if.
    pub(crate) fn owns(&self, meta: &Meta) -> bool {
        self.is_root() || self.uid == meta.uid
    }

    /// Whether `gid` is among the caller's groups. A request carries one; the others are asked of `/proc`.
    pub(crate) fn is_in_group(&self, gid: u32) -> bool {
        gid == self.gid || supplementary_groups(self.pid).contains(&gid)
    }

    /// Check `mask` of [`READ`], [`WRITE`] and [`EXECUTE`] against the permission bits.
    pub(crate) fn may(&self, mask: u32, kind: FileType, meta: &Meta) -> Result<(), Errno> {
        let perm = u32::from(meta.perm);
        let granted = if self.is_root() {
            let executable = kind == FileType::Directory || perm & 0o111 != 0;
            READ | WRITE | if executable { EXECUTE } else { 0 }
        } else if self.uid == meta.uid {
            perm >> 6
        } else if self.is_in_group(meta.gid) {
            perm >> 3
        } else {
            perm
        };
        if mask & !granted & (READ | WRITE | EXECUTE) == 0 { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// In a sticky directory only the owner of the entry or of the directory takes an entry out.
    pub(crate) fn may_take_out(&self, directory: &Meta, entry: &Meta) -> Result<(), Errno> {
        let sticky = u32::from(directory.perm) & libc::S_ISVTX != 0;
        if !sticky || self.owns(directory) || self.owns(entry) { Ok(()) } else { Err(Errno::EPERM) }
    }
}

fn supplementary_groups(pid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
    groups.split_whitespace().filter_map(|gid| gid.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No process has this number, so there are no further groups.
    const NOBODY: Caller = Caller { uid: 1000, gid: 100, pid: u32::MAX };
    const ROOT: Caller = Caller { uid: 0, gid: 0, pid: u32::MAX };

    fn meta(perm: u16, uid: u32, gid: u32) -> Meta {
        Meta { perm, ..Meta::new(uid, gid) }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let file = FileType::RegularFile;
        let own = meta(0o077, 1000, 100);
        assert_eq!(NOBODY.may(READ, file, &own), Err(Errno::EACCES));
        let group = meta(0o707, 1, 100);
        assert_eq!(NOBODY.may(READ, file, &group), Err(Errno::EACCES));
        let other = meta(0o005, 1, 1);
        assert_eq!(NOBODY.may(READ | EXECUTE, file, &other), Ok(()));
        assert_eq!(NOBODY.may(WRITE, file, &other), Err(Errno::EACCES));
    }

    #[test]
    fn root_executes_only_what_anybody_may_execute() {
        let (none, some) = (meta(0, 1, 1), meta(0o010, 1, 1));
        assert_eq!(ROOT.may(READ | WRITE, FileType::RegularFile, &none), Ok(()));
        assert_eq!(ROOT.may(EXECUTE, FileType::RegularFile, &none), Err(Errno::EACCES));
        assert_eq!(ROOT.may(EXECUTE, FileType::RegularFile, &some), Ok(()));
        assert_eq!(ROOT.may(EXECUTE, FileType::Directory, &none), Ok(()));
    }

    #[test]
    fn a_sticky_directory_protects_what_others_own() {
        let (plain, sticky) = (meta(0o777, 1, 1), meta(0o1777, 1, 1));
        let (own, foreign) = (meta(0o644, 1000, 1), meta(0o644, 1, 1));
        assert_eq!(NOBODY.may_take_out(&plain, &foreign), Ok(()));
        assert_eq!(NOBODY.may_take_out(&sticky, &own), Ok(()));
        assert_eq!(NOBODY.may_take_out(&sticky, &foreign), Err(Errno::EPERM));
        assert_eq!(NOBODY.may_take_out(&meta(0o1777, 1000, 1), &foreign), Ok(()));
        assert_eq!(ROOT.may_take_out(&sticky, &foreign), Ok(()));
    }

    #[test]
    fn the_groups_of_a_process_are_read_from_proc() {
        let own = fs::read_to_string("/proc/self/status").unwrap();
        let groups = supplementary_groups(std::process::id());
        let line = own.lines().find(|line| line.starts_with("Groups:")).unwrap();
        assert_eq!(groups.len(), line.split_whitespace().count() - 1);
        assert_eq!(supplementary_groups(u32::MAX), []);
    }
}
