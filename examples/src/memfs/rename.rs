//! Renaming: moving, replacing, exchanging, and leaving a whiteout behind.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::SystemTime;

use async_fuser::{Errno, FileType, RenameFlags};

use super::names::{New, dismiss};
use super::node::Node;
use super::perm::{Caller, WRITE};
use super::store::Store;
use super::tree::Tree;

/// A name in a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) parent: u64,
    pub(crate) name: &'a OsStr,
}

impl Store {
    /// Move `from` to `to`, replacing what is there.
    ///
    /// `NOREPLACE` refuses to, `EXCHANGE` moves it to `from` instead, and `WHITEOUT` leaves a
    /// character device 0/0 at `from`, by which an overlay knows that something was deleted.
    pub(crate) fn rename(
        &self,
        caller: &Caller,
        from: Place<'_>,
        to: Place<'_>,
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let exchange = flags == RenameFlags::RENAME_EXCHANGE;
        let whiteout = flags.contains(RenameFlags::RENAME_WHITEOUT);
        let keep = flags.contains(RenameFlags::RENAME_NOREPLACE);
        if !exchange
            && (flags.contains(RenameFlags::RENAME_EXCHANGE) || !RenameFlags::all().contains(flags))
        {
            return Err(Errno::EINVAL);
        }
        let buried = {
            let mut tree = self.tree_mut();
            let moved = Moved::find(&tree, from, to)?;
            if exchange {
                self.check_exchange(&tree, caller, &moved, from, to)?;
                moved.exchange(&mut tree, from, to)?;
                return Ok(());
            }
            let place = self.place_for(&tree, caller, to.parent, to.name);
            if keep || place.as_ref().err() != Some(&Errno::EEXIST) {
                place?;
            }
            self.check_removal(caller, &moved.from, &moved.source)?;
            self.check_move(&tree, caller, &moved.source, from, to)?;
            if moved.target.as_ref().is_some_and(|target| Arc::ptr_eq(target, &moved.source)) {
                // Two names of one inode: both stay.
                return Ok(());
            }
            self.check_replacement(&tree, caller, &moved)?;
            if moved.adds_subdirectory() && moved.to.meta().nlink >= self.usage.limits().links {
                return Err(Errno::EMLINK);
            }
            let left_behind = if whiteout {
                let whiteout =
                    self.add(&mut tree, caller, from.parent, New::of(FileType::CharDevice, 0))?;
                whiteout.meta().nlink = 1;
                whiteout.unpin(1);
                Some(whiteout)
            } else {
                None
            };
            moved.rename(&mut tree, from, to, left_behind)?;
            moved.target.as_ref().and_then(|target| tree.bury(target))
        };
        drop(buried);
        Ok(())
    }

    fn check_exchange(
        &self,
        tree: &Tree,
        caller: &Caller,
        moved: &Moved,
        from: Place<'_>,
        to: Place<'_>,
    ) -> Result<(), Errno> {
        let target = moved.target.as_ref().ok_or(Errno::ENOENT)?;
        self.check_removal(caller, &moved.from, &moved.source)?;
        self.check_removal(caller, &moved.to, target)?;
        self.check_move(tree, caller, &moved.source, from, to)?;
        self.check_move(tree, caller, target, to, from)
    }

    /// A directory cannot be moved into itself, and its `..` is changed by who may write to it.
    fn check_move(
        &self,
        tree: &Tree,
        caller: &Caller,
        node: &Node,
        from: Place<'_>,
        to: Place<'_>,
    ) -> Result<(), Errno> {
        if !node.is_directory() || from.parent == to.parent {
            return Ok(());
        }
        if tree.is_within(to.parent, node.ino) {
            return Err(Errno::EINVAL);
        }
        self.check(caller, WRITE, node)
    }

    fn check_replacement(&self, tree: &Tree, caller: &Caller, moved: &Moved) -> Result<(), Errno> {
        let Some(target) = &moved.target else {
            return Ok(());
        };
        self.check_removal(caller, &moved.to, target)?;
        match (moved.source.is_directory(), target.is_directory()) {
            (true, false) => Err(Errno::ENOTDIR),
            (false, true) => Err(Errno::EISDIR),
            (true, true) if !tree.directory(target.ino)?.is_empty() => Err(Errno::ENOTEMPTY),
            _ => Ok(()),
        }
    }
}

/// The inodes a rename is about.
#[derive(Debug)]
struct Moved {
    from: Arc<Node>,
    to: Arc<Node>,
    source: Arc<Node>,
    target: Option<Arc<Node>>,
}

impl Moved {
    fn find(tree: &Tree, from: Place<'_>, to: Place<'_>) -> Result<Self, Errno> {
        Ok(Self {
            from: Arc::clone(tree.node(from.parent)?),
            to: Arc::clone(tree.node(to.parent)?),
            source: Arc::clone(tree.directory(from.parent)?.find(from.name).ok_or(Errno::ENOENT)?),
            target: tree.directory(to.parent)?.find(to.name).cloned(),
        })
    }

    /// Whether the new directory gets a subdirectory more than it had.
    fn adds_subdirectory(&self) -> bool {
        let replaces = self.target.as_ref().is_some_and(|target| target.is_directory());
        self.source.is_directory() && !replaces && self.from.ino != self.to.ino
    }

    fn rename(
        &self,
        tree: &mut Tree,
        from: Place<'_>,
        to: Place<'_>,
        left_behind: Option<Arc<Node>>,
    ) -> Result<(), Errno> {
        let now = SystemTime::now();
        match left_behind {
            Some(whiteout) => tree.directory_mut(from.parent)?.insert(from.name, whiteout),
            None => tree.directory_mut(from.parent)?.remove(from.name),
        };
        tree.directory_mut(to.parent)?.insert(to.name, Arc::clone(&self.source));
        if let Some(target) = &self.target {
            dismiss(target, &self.to, now);
        }
        self.reparent(tree, &self.source, &self.from, &self.to)?;
        self.stamp(now);
        Ok(())
    }

    fn exchange(&self, tree: &mut Tree, from: Place<'_>, to: Place<'_>) -> Result<(), Errno> {
        let Some(target) = &self.target else {
            return Err(Errno::ENOENT);
        };
        let now = SystemTime::now();
        tree.directory_mut(from.parent)?.insert(from.name, Arc::clone(target));
        tree.directory_mut(to.parent)?.insert(to.name, Arc::clone(&self.source));
        self.reparent(tree, &self.source, &self.from, &self.to)?;
        self.reparent(tree, target, &self.to, &self.from)?;
        target.meta().changed(now);
        self.stamp(now);
        Ok(())
    }

    /// Point a directory's `..` to where it is now, and count it there.
    fn reparent(&self, tree: &mut Tree, node: &Node, old: &Node, new: &Node) -> Result<(), Errno> {
        if !node.is_directory() || old.ino == new.ino {
            return Ok(());
        }
        tree.directory_mut(node.ino)?.parent = new.ino;
        let less = old.meta().nlink.saturating_sub(1);
        old.meta().nlink = less;
        let more = new.meta().nlink.saturating_add(1);
        new.meta().nlink = more;
        Ok(())
    }

    fn stamp(&self, now: SystemTime) {
        self.from.meta().modified(now);
        self.to.meta().modified(now);
        self.source.meta().changed(now);
    }
}
