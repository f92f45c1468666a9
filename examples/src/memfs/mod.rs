//! A complete POSIX filesystem in memory.
//!
//! Two storeys. Below, `Store` and what belongs to it keep the files: methods
//! named after system calls that take plain values and return `Result`s. They have heard of
//! attributes and error numbers, not of requests and replies. Above, two faces connect them to the
//! kernel, a few lines for each operation: `sync.rs` is a [`Filesystem`](async_fuser::Filesystem),
//! `asynchronous.rs` an [`AsyncFilesystem`](async_fuser::AsyncFilesystem).
//!
//! | file | about |
//! |---|---|
//! | `sync.rs`, `replies.rs` | the sync trait: requests in, replies out |
//! | `asynchronous.rs` | the asynchronous trait: requests in, answers out |
//! | `requests.rs` | what both have to say |
//! | `store.rs` | the storage as a whole |
//! | `names.rs`, `rename.rs` | looking up, making, linking, removing, listing, renaming |
//! | `attr.rs`, `perm.rs`, `xattr.rs` | attributes, permissions, extended attributes |
//! | `file.rs` | open files |
//! | `tree.rs`, `dir.rs`, `node.rs` | all inodes, one directory, one inode |
//! | `data.rs` | one file's bytes, with holes |
//! | `locks.rs` | byte-range locks and those who wait for one |
//! | `usage.rs` | limits |

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use usage::Limits;

use store::Store;

mod asynchronous;
mod attr;
mod data;
mod dir;
mod file;
mod locks;
mod names;
mod node;
mod perm;
mod rename;
mod replies;
mod requests;
mod store;
mod sync;
#[cfg(test)]
mod tests;
mod tree;
mod usage;
mod xattr;

/// How a [`MemFs`] behaves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// How much it stores.
    pub limits: Limits,
    /// Check permissions here: for a mount without the option `default_permissions`.
    ///
    /// The kernel then asks again for every name it comes across, as the answer depends on who asks.
    pub check_permissions: bool,
    /// Let the kernel collect small writes and keep sizes and times until it sends them.
    pub writeback: bool,
    /// Leave locks to the kernel, which is enough while nobody but this mount sees the files.
    pub kernel_locks: bool,
}

/// A filesystem in memory. It lasts as long as its mount.
#[derive(Debug)]
pub struct MemFs {
    store: Store,
    options: Options,
}

impl MemFs {
    /// An empty filesystem.
    pub fn new(options: Options) -> Self {
        Self { store: Store::new(&options), options }
    }
}

// A thread that panicked left a consistent state behind or none that matters more than going on.

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
