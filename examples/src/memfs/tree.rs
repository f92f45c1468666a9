//! All inodes by number, and which directory holds which.

use std::sync::Arc;

use async_fuser::Errno;

use super::dir::Directory;
use super::node::Node;

/// The inode number of the root directory, fixed by the protocol.
pub(crate) const ROOT: u64 = 1;

/// Every inode, found by number. Numbers are given out again with another generation.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Inode *n* is in slot *n* - 1.
    slots: Vec<Slot>,
    free: Vec<u64>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u64,
    node: Option<Arc<Node>>,
    directory: Option<Box<Directory<Arc<Node>>>>,
}

impl Tree {
    /// Add the node that `make` builds for an inode number and generation.
    ///
    /// `parent` is given for a directory: the one it is going to be in.
    pub(crate) fn add(
        &mut self,
        parent: Option<u64>,
        make: impl FnOnce((u64, u64)) -> Result<Node, Errno>,
    ) -> Result<Arc<Node>, Errno> {
        let ino = self.free.last().copied().unwrap_or(self.slots.len() as u64 + 1);
        let generation = self.slot(ino).map_or(0, |slot| slot.generation);
        let node = Arc::new(make((ino, generation))?);
        let directory = parent.map(|parent| Box::new(Directory::new(parent)));
        let slot = Slot { generation, node: Some(Arc::clone(&node)), directory };
        if self.free.pop().is_none() {
            self.slots.push(slot);
        } else if let Some(place) = self.slot_mut(ino) {
            *place = slot;
        }
        Ok(node)
    }

    /// Remove a node that nobody holds and no name leads to. The caller drops it outside of its locks.
    pub(crate) fn bury(&mut self, node: &Node) -> Option<Arc<Node>> {
        if node.ino == ROOT || !node.is_dead() {
            return None;
        }
        let slot = self.slot_mut(node.ino).filter(|slot| slot.generation == node.generation)?;
        let buried = slot.node.take()?;
        slot.directory = None;
        slot.generation += 1;
        self.free.push(node.ino);
        Some(buried)
    }

    pub(crate) fn node(&self, ino: u64) -> Result<&Arc<Node>, Errno> {
        self.slot(ino).and_then(|slot| slot.node.as_ref()).ok_or(Errno::ESTALE)
    }

    pub(crate) fn directory(&self, ino: u64) -> Result<&Directory<Arc<Node>>, Errno> {
        self.slot(ino).and_then(|slot| slot.directory.as_deref()).ok_or(Errno::ENOTDIR)
    }

    pub(crate) fn directory_mut(&mut self, ino: u64) -> Result<&mut Directory<Arc<Node>>, Errno> {
        self.slot_mut(ino).and_then(|slot| slot.directory.as_deref_mut()).ok_or(Errno::ENOTDIR)
    }

    /// Whether directory `ino` is `ancestor` or lies somewhere below it.
    pub(crate) fn is_within(&self, mut ino: u64, ancestor: u64) -> bool {
        while ino != ancestor {
            match self.directory(ino) {
                Ok(directory) if directory.parent != ino => ino = directory.parent,
                _ => return false,
            }
        }
        true
    }

    fn slot(&self, ino: u64) -> Option<&Slot> {
        self.slots.get(usize::try_from(ino.checked_sub(1)?).ok()?)
    }

    fn slot_mut(&mut self, ino: u64) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(ino.checked_sub(1)?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use async_fuser::FileType;

    use super::super::node::{Body, Meta};
    use super::super::usage::{Limits, Usage};
    use super::*;

    fn add(tree: &mut Tree, parent: Option<u64>) -> Arc<Node> {
        let usage = Arc::new(Usage::new(Limits::default()));
        let kind = if parent.is_some() { FileType::Directory } else { FileType::NamedPipe };
        tree.add(parent, |id| Node::new(&usage, id, kind, 0, Body::Nothing, Meta::new(0, 0)))
            .unwrap()
    }

    #[test]
    fn a_number_comes_back_with_another_generation() {
        let mut tree = Tree::default();
        assert_eq!(add(&mut tree, Some(ROOT)).ino, ROOT);
        let first = add(&mut tree, None);
        assert_eq!((first.ino, first.generation), (2, 0));
        assert!(tree.bury(&first).is_some());
        assert_eq!(tree.node(2).err(), Some(Errno::ESTALE));
        assert!(tree.bury(&first).is_none());
        let second = add(&mut tree, None);
        assert_eq!((second.ino, second.generation), (2, 1));
        assert!(tree.bury(&first).is_none(), "this is another one of the same number");
        assert_eq!(add(&mut tree, None).ino, 3);
    }

    #[test]
    fn what_has_a_name_or_is_held_is_not_buried() {
        let mut tree = Tree::default();
        let root = add(&mut tree, Some(ROOT));
        assert!(tree.bury(&root).is_none());
        let node = add(&mut tree, None);
        node.pin();
        assert!(tree.bury(&node).is_none());
        node.unpin(1);
        node.meta().nlink = 1;
        assert!(tree.bury(&node).is_none());
    }

    #[test]
    fn a_directory_is_within_its_ancestors_and_itself() {
        let mut tree = Tree::default();
        add(&mut tree, Some(ROOT));
        let outer = add(&mut tree, Some(ROOT)).ino;
        let inner = add(&mut tree, Some(outer)).ino;
        assert!(
            tree.is_within(inner, outer)
                && tree.is_within(inner, inner)
                && tree.is_within(inner, ROOT)
        );
        assert!(!tree.is_within(outer, inner));
        assert!(!tree.is_within(99, ROOT));
    }

    #[test]
    fn numbers_never_given_out_are_stale() {
        let mut tree = Tree::default();
        for ino in [0, 1, u64::MAX] {
            assert_eq!(tree.node(ino).err(), Some(Errno::ESTALE));
            assert_eq!(tree.directory_mut(ino).err(), Some(Errno::ENOTDIR));
        }
    }
}
