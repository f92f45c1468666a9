//! Names: looking them up, making and removing them, listing them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use async_fuser::{Errno, FileType};

use super::data::Data;
use super::dir::{DOT, DOT_DOT};
use super::node::{Body, Meta, Node};
use super::perm::{Caller, EXECUTE, READ, WRITE};
use super::store::{Entry, Store};
use super::tree::Tree;

/// The longest name, in bytes.
pub(crate) const NAME_MAX: usize = 255;
/// The longest target of a symbolic link; the kernel reads it into a page, with a zero at the end.
const TARGET_MAX: usize = 4095;

/// One line of a listing.
#[derive(Debug)]
pub(crate) struct Listed<'a> {
    pub(crate) name: &'a OsStr,
    /// Where the listing goes on after this one.
    pub(crate) cookie: u64,
    pub(crate) node: &'a Node,
}

impl Store {
    /// Find `name`. The entry is pinned until the kernel forgets it.
    pub(crate) fn lookup(
        &self,
        caller: &Caller,
        parent: u64,
        name: &OsStr,
    ) -> Result<Entry, Errno> {
        let node = {
            let tree = self.tree();
            let node = match name.as_bytes() {
                b"." => tree.node(parent)?,
                b".." => tree.node(tree.directory(parent)?.parent)?,
                _ => {
                    self.check(caller, EXECUTE, tree.node(parent)?)?;
                    fits(name)?;
                    tree.directory(parent)?.find(name).ok_or(Errno::ENOENT)?
                }
            };
            node.pin();
            Arc::clone(node)
        };
        Ok(Entry::of(&node))
    }

    /// Make a file, fifo, socket or device node. `mode` has its kind and permissions.
    pub(crate) fn mknod(
        &self,
        caller: &Caller,
        parent: u64,
        name: &OsStr,
        mode: u32,
        rdev: u32,
    ) -> Result<Entry, Errno> {
        let kind = match mode & libc::S_IFMT {
            0 | libc::S_IFREG => FileType::RegularFile,
            libc::S_IFIFO => FileType::NamedPipe,
            libc::S_IFSOCK => FileType::Socket,
            libc::S_IFCHR => FileType::CharDevice,
            libc::S_IFBLK => FileType::BlockDevice,
            _ => return Err(Errno::EINVAL),
        };
        let node = self.make(caller, parent, name, New { rdev, ..New::of(kind, mode) })?;
        Ok(Entry::of(&node))
    }

    pub(crate) fn mkdir(
        &self,
        caller: &Caller,
        parent: u64,
        name: &OsStr,
        mode: u32,
    ) -> Result<Entry, Errno> {
        let node = self.make(caller, parent, name, New::of(FileType::Directory, mode))?;
        Ok(Entry::of(&node))
    }

    pub(crate) fn symlink(
        &self,
        caller: &Caller,
        parent: u64,
        name: &OsStr,
        target: &Path,
    ) -> Result<Entry, Errno> {
        let target = target.as_os_str();
        match target.as_bytes().len() {
            0 => return Err(Errno::ENOENT),
            1..=TARGET_MAX => {}
            _ => return Err(Errno::ENAMETOOLONG),
        }
        let new = New { target: Some(target), ..New::of(FileType::Symlink, 0o777) };
        let node = self.make(caller, parent, name, new)?;
        Ok(Entry::of(&node))
    }

    /// Give the inode another name.
    pub(crate) fn link(
        &self,
        caller: &Caller,
        ino: u64,
        parent: u64,
        name: &OsStr,
    ) -> Result<Entry, Errno> {
        let node = {
            let mut tree = self.tree_mut();
            let node = Arc::clone(tree.node(ino)?);
            if node.is_directory() {
                return Err(Errno::EPERM);
            }
            let directory = self.place_for(&tree, caller, parent, name)?;
            let now = SystemTime::now();
            {
                let mut meta = node.meta();
                if meta.nlink == 0 && !meta.nameless {
                    return Err(Errno::ENOENT);
                }
                if meta.nlink >= self.usage.limits().links {
                    return Err(Errno::EMLINK);
                }
                meta.nlink += 1;
                meta.nameless = false;
                meta.changed(now);
            }
            tree.directory_mut(parent)?.insert(name, Arc::clone(&node));
            directory.meta().modified(now);
            node.pin();
            node
        };
        Ok(Entry::of(&node))
    }

    /// Remove a name of anything but a directory.
    pub(crate) fn unlink(&self, caller: &Caller, parent: u64, name: &OsStr) -> Result<(), Errno> {
        self.remove(caller, parent, name, |node, _| {
            if node.is_directory() { Err(Errno::EISDIR) } else { Ok(()) }
        })
    }

    /// Remove an empty directory.
    pub(crate) fn rmdir(&self, caller: &Caller, parent: u64, name: &OsStr) -> Result<(), Errno> {
        self.remove(caller, parent, name, |node, tree| {
            if tree.directory(node.ino)?.is_empty() { Ok(()) } else { Err(Errno::ENOTEMPTY) }
        })
    }

    pub(crate) fn readlink(&self, ino: u64) -> Result<OsString, Errno> {
        let node = self.node(ino)?;
        let target = node.target()?.to_owned();
        node.meta().accessed(SystemTime::now());
        Ok(target)
    }

    pub(crate) fn opendir(&self, caller: &Caller, ino: u64) -> Result<(), Errno> {
        let node = self.node(ino)?;
        if !node.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        self.check(caller, READ, &node)
    }

    /// Hand the entries after `cookie` (0: all) to `add` until it says that it is full.
    ///
    /// `lookups` pins each entry that was added, as a lookup does; `.` and `..` are none.
    pub(crate) fn readdir(
        &self,
        ino: u64,
        cookie: u64,
        lookups: bool,
        mut add: impl FnMut(&Listed<'_>) -> bool,
    ) -> Result<(), Errno> {
        let tree = self.tree();
        let node = tree.node(ino)?;
        let directory = tree.directory(ino)?;
        if cookie == 0 {
            node.meta().accessed(SystemTime::now());
        }
        let above = tree.node(directory.parent).unwrap_or(node);
        let dots = [(DOT, ".", node), (DOT_DOT, "..", above)].into_iter();
        for (at, name, node) in dots.filter(|(at, ..)| *at > cookie) {
            if add(&Listed { name: OsStr::new(name), cookie: at, node }) {
                return Ok(());
            }
        }
        for (cookie, name, node) in directory.after(cookie.max(DOT_DOT)) {
            if add(&Listed { name, cookie, node }) {
                break;
            }
            if lookups {
                node.pin();
            }
        }
        Ok(())
    }

    /// Make an inode called `name` and pin it.
    pub(crate) fn make(
        &self,
        caller: &Caller,
        parent: u64,
        name: &OsStr,
        new: New<'_>,
    ) -> Result<Arc<Node>, Errno> {
        let mut tree = self.tree_mut();
        let directory = self.place_for(&tree, caller, parent, name)?;
        if new.kind == FileType::Directory && directory.meta().nlink >= self.usage.limits().links {
            return Err(Errno::EMLINK);
        }
        let node = self.add(&mut tree, caller, parent, new)?;
        let subdirectory = u32::from(node.is_directory());
        node.meta().nlink = 1 + subdirectory;
        tree.directory_mut(parent)?.insert(name, Arc::clone(&node));
        let mut meta = directory.meta();
        meta.nlink += subdirectory;
        meta.modified(SystemTime::now());
        drop(meta);
        Ok(node)
    }

    /// Make an inode that has no name yet, with the group its directory asks for, and pin it.
    pub(crate) fn add(
        &self,
        tree: &mut Tree,
        caller: &Caller,
        parent: u64,
        new: New<'_>,
    ) -> Result<Arc<Node>, Errno> {
        let New { kind, mut mode, rdev, target } = new;
        let mut gid = caller.gid;
        {
            let directory = tree.node(parent)?.meta();
            if u32::from(directory.perm) & libc::S_ISGID != 0 {
                gid = directory.gid;
                if kind == FileType::Directory {
                    mode |= libc::S_ISGID;
                }
            }
        }
        let body = match (kind, target) {
            (FileType::RegularFile, _) => {
                Body::File(RwLock::new(Data::new(Arc::clone(&self.usage))))
            }
            (FileType::Symlink, Some(target)) => Body::Symlink(target.to_owned()),
            _ => Body::Nothing,
        };
        let meta = Meta { perm: (mode & 0o7777) as u16, ..Meta::new(caller.uid, gid) };
        let within = (kind == FileType::Directory).then_some(parent);
        let node = tree.add(within, |id| Node::new(&self.usage, id, kind, rdev, body, meta))?;
        node.pin();
        Ok(node)
    }

    /// The directory `parent`, if `caller` may make `name` there now.
    pub(crate) fn place_for(
        &self,
        tree: &Tree,
        caller: &Caller,
        parent: u64,
        name: &OsStr,
    ) -> Result<Arc<Node>, Errno> {
        fits(name)?;
        if matches!(name.as_bytes(), b"" | b"." | b"..") || name.as_bytes().contains(&b'/') {
            return Err(Errno::EINVAL);
        }
        let directory = tree.node(parent)?;
        let names = tree.directory(parent)?;
        self.check(caller, WRITE | EXECUTE, directory)?;
        if names.find(name).is_some() {
            return Err(Errno::EEXIST);
        }
        if directory.meta().nlink == 0 {
            // It was removed, and somebody is in it still.
            return Err(Errno::ENOENT);
        }
        Ok(Arc::clone(directory))
    }

    /// Remove `name` after `allowed` had a look at what it is.
    fn remove(
        &self,
        caller: &Caller,
        parent: u64,
        name: &OsStr,
        allowed: impl FnOnce(&Node, &Tree) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let buried = {
            let mut tree = self.tree_mut();
            let directory = Arc::clone(tree.node(parent)?);
            let node = Arc::clone(tree.directory(parent)?.find(name).ok_or(Errno::ENOENT)?);
            self.check_removal(caller, &directory, &node)?;
            allowed(&node, &tree)?;
            tree.directory_mut(parent)?.remove(name);
            let now = SystemTime::now();
            directory.meta().modified(now);
            dismiss(&node, &directory, now);
            tree.bury(&node)
        };
        drop(buried);
        Ok(())
    }

    /// Whether `caller` may take `node` out of `directory`.
    pub(crate) fn check_removal(
        &self,
        caller: &Caller,
        directory: &Node,
        node: &Node,
    ) -> Result<(), Errno> {
        self.check(caller, WRITE | EXECUTE, directory)?;
        if self.checks { caller.may_take_out(&directory.meta(), &node.meta()) } else { Ok(()) }
    }
}

/// Count the links that go when `node` loses its name in `directory`.
pub(crate) fn dismiss(node: &Node, directory: &Node, now: SystemTime) {
    let mut meta = node.meta();
    meta.changed(now);
    if node.is_directory() {
        meta.nlink = 0;
        drop(meta);
        let mut above = directory.meta();
        above.nlink = above.nlink.saturating_sub(1);
    } else {
        meta.nlink = meta.nlink.saturating_sub(1);
    }
}

/// Something to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct New<'a> {
    kind: FileType,
    mode: u32,
    rdev: u32,
    target: Option<&'a OsStr>,
}

impl New<'_> {
    pub(crate) fn of(kind: FileType, mode: u32) -> Self {
        Self { kind, mode, rdev: 0, target: None }
    }
}

fn fits(name: &OsStr) -> Result<(), Errno> {
    if name.as_bytes().len() > NAME_MAX { Err(Errno::ENAMETOOLONG) } else { Ok(()) }
}
