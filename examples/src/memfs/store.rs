//! The storage as a whole. What it can do is in files by subject: [`names`](super::names),
//! [`rename`](super::rename), [`attr`](super::attr), [`file`](super::file), [`xattr`](super::xattr).

use std::fs;
use std::future::poll_fn;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Poll;

use async_fuser::{Errno, FileAttr, FileType, Generation};

use super::data::PAGE;
use super::locks::{Due, Family, File, Lock, Locks};
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

    /// Take a lock if nobody is in its way, `EAGAIN` otherwise; or give up what is held there if
    /// `typ` is `F_UNLCK`.
    pub(crate) fn set_lock(
        &self,
        ino: u64,
        family: Family,
        typ: i32,
        lock: Lock,
    ) -> Result<(), Errno> {
        if typ == libc::F_UNLCK {
            self.unlock(ino, family, lock.owner, lock.start, lock.end);
            return Ok(());
        }
        let due = self.locks().try_acquire((ino, family), lock)?;
        tell(due);
        Ok(())
    }

    /// Take a lock for `waiter`, who is told now or, when nobody is in its way any more, later.
    /// Until then it waits under `number`.
    pub(crate) fn lock(&self, ino: u64, family: Family, lock: Lock, number: u64, waiter: Waiter) {
        let due = self.locks().acquire((ino, family), lock, number, waiter);
        tell(due);
    }

    /// Take a lock when nobody is in its way. `number` is nobody else's.
    ///
    /// Where the future is dropped before it is ready, the lock has not been taken, and nobody
    /// waits for it any more.
    pub(crate) async fn lock_when_free(
        &self,
        ino: u64,
        family: Family,
        lock: Lock,
        number: u64,
    ) -> Result<(), Errno> {
        let queued = Queued { store: self, file: (ino, family), number };
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let waiter = Waiter::new(move |_| waker.wake());
            let attempt = self.locks().attempt(queued.file, lock, number, waiter);
            Poll::Ready(match attempt {
                Ok(Some(due)) => {
                    tell(due);
                    Ok(())
                }
                Ok(None) => return Poll::Pending,
                Err(error) => Err(error),
            })
        })
        .await
    }

    /// Whoever waits for a lock under this number is told that it was interrupted.
    pub(crate) fn interrupt(&self, number: u64) {
        let due = self.locks().interrupt(number);
        tell(due);
    }

    pub(crate) fn unlock(&self, ino: u64, family: Family, owner: u64, start: u64, end: u64) {
        let due = self.locks().release((ino, family), owner, start, end);
        tell(due);
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

    /// A number for an open file, which says whether it is open for writing.
    pub(crate) fn next_handle(&self, flags: i32) -> u64 {
        let is_writable = flags & libc::O_ACCMODE != libc::O_RDONLY;
        self.handles.fetch_add(1, Relaxed) << 1 | u64::from(is_writable)
    }

    fn locks(&self) -> MutexGuard<'_, Locks<Waiter>> {
        lock(&self.locks)
    }
}

impl Entry {
    /// Answer a lookup with `node`, which is pinned for it already.
    pub(crate) fn of(node: &Node) -> Self {
        Self { attr: node.attr(), generation: Generation(node.generation) }
    }
}

/// Somebody in a queue for a lock, until it is dropped.
struct Queued<'a> {
    store: &'a Store,
    file: File,
    number: u64,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.store.locks().withdraw(self.file, self.number);
    }
}

fn tell(due: Due<Waiter>) {
    due.into_iter().for_each(|(waiter, result)| waiter.tell(result));
}

/// Who is told that a lock was granted or refused, or may be tried for again.
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
