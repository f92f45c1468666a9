//! The storage as a whole. What it can do is in files by subject: [`names`](super::names),
//! [`rename`](super::rename), [`attr`](super::attr), [`file`](super::file), [`xattr`](super::xattr).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_fuser::{Errno, FileAttr, FileType, Generation};

use super::data::PAGE;
use super::locks::{Family, Lock, Locks};
use super::node::{Body, Meta, Node};
use super::perm::Caller;
use super::tree::{ROOT, Tree};
use super::usage::Usage;
use super::{Options, lock, read, write};

/// Everything stored. Its methods are named after system calls; the trait for the kernel is a thin layer above.
///
/// Locks are taken in this order: the tree, a file's data (of two files, the lower inode number
/// first), an inode's attributes. Operations on data let go of the tree before they take it.
#[derive(Debug)]
pub(crate) struct Store {
    tree: RwLock<Tree>,
    pub(crate) usage: Arc<Usage>,
    locks: Mutex<Locks<Waiter>>,
    handles: AtomicU64,
    /// Permissions are checked here rather than by the kernel.
    pub(crate) checks: bool,
}

/// What an inode is called to the kernel: its attributes, and its generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) attr: FileAttr,
    pub(crate) generation: Generation,
}

/// How full the filesystem is, in pages and inodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statfs {
    pub(crate) blocks: u64,
    pub(crate) free: u64,
    pub(crate) files: u64,
    pub(crate) free_files: u64,
}

impl Store {
    /// An empty filesystem; its root belongs to whoever runs this process.
    pub(crate) fn new(options: &Options) -> Self {
        let usage = Arc::new(Usage::new(options.limits));
        let (uid, gid) = fs::metadata("/proc/self").map_or((0, 0), |own| (own.uid(), own.gid()));
        let meta = Meta { perm: 0o755, nlink: 2, ..Meta::new(uid, gid) };
        let mut tree = Tree::default();
        // Without room for even the root, everything is answered with ESTALE.
        let _ = tree.add(Some(ROOT), |id| {
            Node::new(&usage, id, FileType::Directory, 0, Body::Nothing, meta)
        });
        Self {
            tree: RwLock::new(tree),
            usage,
            locks: Mutex::new(Locks::new()),
            handles: AtomicU64::new(1),
            checks: options.check_permissions,
        }
    }

    /// The kernel lets go of `lookups` that it was answered with this inode.
    pub(crate) fn forget(&self, ino: u64, lookups: u64) {
        let Ok(node) = self.node(ino) else { return };
        if node.unpin(lookups) && node.meta().nlink == 0 {
            let buried = self.tree_mut().bury(&node);
            drop(buried);
        }
    }

    pub(crate) fn statfs(&self) -> Statfs {
        let limits = self.usage.limits();
        Statfs {
            blocks: limits.bytes / PAGE,
            free: self.usage.free_bytes() / PAGE,
            files: limits.inodes,
            free_files: self.usage.free_inodes(),
        }
    }

    /// Take a lock for `waiter`, who is told now or, if it may `wait` under a number, later.
    pub(crate) fn lock(
        &self,
        ino: u64,
        family: Family,
        lock: Lock,
        wait: Option<u64>,
        waiter: Waiter,
    ) {
        let due = self.locks().acquire((ino, family), lock, wait, waiter);
        due.into_iter().for_each(|(waiter, result)| waiter.tell(result));
    }

    /// Whoever waits for a lock under this number is told that it was interrupted.
    pub(crate) fn interrupt(&self, number: u64) {
        let due = self.locks().interrupt(number);
        due.into_iter().for_each(|(waiter, result)| waiter.tell(result));
    }

    pub(crate) fn unlock(&self, ino: u64, family: Family, owner: u64, start: u64, end: u64) {
        let due = self.locks().release((ino, family), owner, start, end);
        due.into_iter().for_each(|(waiter, result)| waiter.tell(result));
    }

    /// A lock that keeps `wanted` from being taken.
    pub(crate) fn conflicting_lock(&self, ino: u64, wanted: &Lock) -> Option<Lock> {
        self.locks().conflict((ino, Family::Posix), wanted)
    }

    /// Check permissions, unless the kernel does.
    pub(crate) fn check(&self, caller: &Caller, mask: u32, node: &Node) -> Result<(), Errno> {
        if self.checks { caller.may(mask, node.kind, &node.meta()) } else { Ok(()) }
    }

    pub(crate) fn node(&self, ino: u64) -> Result<Arc<Node>, Errno> {
        self.tree().node(ino).cloned()
    }

    pub(crate) fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        read(&self.tree)
    }

    pub(crate) fn tree_mut(&self) -> RwLockWriteGuard<'_, Tree> {
        write(&self.tree)
    }

    /// A number for an open file.
    pub(crate) fn next_handle(&self) -> u64 {
        self.handles.fetch_add(1, Relaxed)
    }

    fn locks(&self) -> std::sync::MutexGuard<'_, Locks<Waiter>> {
        lock(&self.locks)
    }
}

impl Entry {
    /// Answer a lookup with `node`, which is pinned for it already.
    pub(crate) fn of(node: &Node) -> Self {
        Self { attr: node.attr(), generation: Generation(node.generation) }
    }
}

/// Who is told that a lock was granted or refused.
pub(crate) struct Waiter(Box<dyn FnOnce(Result<(), Errno>) + Send>);

impl Waiter {
    pub(crate) fn new(tell: impl FnOnce(Result<(), Errno>) + Send + 'static) -> Self {
        Self(Box::new(tell))
    }

    fn tell(self, result: Result<(), Errno>) {
        self.0(result);
    }
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiter")
    }
}
