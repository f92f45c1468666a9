//! What every contestant serves. It has no locks, allocates nothing while it serves, and lets the
//! kernel remember nothing: every system call is a request.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The directory of caller n is called this and n.
pub(crate) const DIRECTORY: &str = "caller-";
/// How many there are.
pub(crate) const CALLERS: u64 = 32;
/// The file to be read and written.
pub(crate) const FILE: &str = "file";
/// The file whose reads take [`DELAY`].
pub(crate) const SLOW: &str = "slow";
/// The file that comes and goes.
pub(crate) const NEW: &str = "new";
/// How many more a directory lists.
pub(crate) const ENTRIES: u64 = 100;
/// Entry n is called this and n, with three digits.
pub(crate) const ENTRY: &str = "entry-";

pub(crate) const FILE_SIZE: usize = 1 << 20;
/// What the files are full of.
pub(crate) const BYTE: u8 = b'x';
pub(crate) const DELAY: Duration = Duration::from_millis(10);
/// How long the kernel may remember.
pub(crate) const TTL: Duration = Duration::ZERO;
/// The largest request.
pub(crate) const MAX_WRITE: u32 = 1 << 20;

pub(crate) const ROOT: u64 = 1;
/// Where the inodes of each kind begin, one for each caller; those of the entries are last.
pub(crate) const DIRECTORIES: u64 = 100;
pub(crate) const FILES: u64 = 200;
pub(crate) const NEWS: u64 = 300;
pub(crate) const SLOWS: u64 = 400;
pub(crate) const OTHERS: u64 = 500;

/// A directory for each caller, so that callers do not wait for each other's locks in the kernel.
/// In each: a file that is read and written, a slow one, one that comes and goes, and many to be
/// listed.
pub(crate) struct Tree {
    entries: Vec<String>,
    /// For each caller, whether its new file exists.
    new: Vec<AtomicBool>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self {
            entries: (0..ENTRIES).map(|number| format!("{ENTRY}{number:03}")).collect(),
            new: (0..CALLERS).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// The inode of this name.
    pub(crate) fn child(&self, parent: u64, name: &OsStr) -> Option<u64> {
        let name = name.to_str()?;
        if parent == ROOT {
            let caller: u64 = name.strip_prefix(DIRECTORY)?.parse().ok()?;
            return (caller < CALLERS).then_some(DIRECTORIES + caller);
        }
        let caller = caller(parent)?;
        match name {
            FILE => Some(FILES + caller),
            SLOW => Some(SLOWS + caller),
            NEW if self.new[caller as usize].load(Ordering::Relaxed) => Some(NEWS + caller),
            _ => None,
        }
    }

    /// Creates the new file. Returns its inode, or nothing where no file may be created.
    pub(crate) fn create(&self, parent: u64, name: &OsStr) -> Option<u64> {
        let caller = caller(parent).filter(|_| name == NEW)?;
        self.new[caller as usize].store(true, Ordering::Relaxed);
        Some(NEWS + caller)
    }

    /// Returns whether there was such a file.
    pub(crate) fn remove(&self, parent: u64, name: &OsStr) -> bool {
        match caller(parent) {
            Some(caller) if name == NEW => self.new[caller as usize].swap(false, Ordering::Relaxed),
            _ => false,
        }
    }

    /// What follows after this offset: names, each with its inode and the offset behind it.
    pub(crate) fn entries(&self, offset: u64) -> impl Iterator<Item = (&str, u64, u64)> {
        let entries = (1..).zip(&self.entries).skip(offset as usize);
        entries.map(|(next, name)| (name.as_str(), OTHERS + next, next))
    }
}

pub(crate) fn is_directory(ino: u64) -> bool {
    ino < FILES
}

pub(crate) fn is_slow(ino: u64) -> bool {
    (SLOWS..OTHERS).contains(&ino)
}

/// The size of a file.
pub(crate) fn size(ino: u64) -> u64 {
    if is_directory(ino) { 0 } else { FILE_SIZE as u64 }
}

/// The permissions of everything.
pub(crate) const PERM: u16 = 0o755;

/// Type and permissions, as in `st_mode`.
pub(crate) fn mode(ino: u64) -> u32 {
    (if is_directory(ino) { 0o040_000 } else { 0o100_000 }) | u32::from(PERM)
}

/// What every file contains.
pub(crate) fn content() -> Vec<u8> {
    vec![BYTE; FILE_SIZE]
}

/// What a read of this is answered.
pub(crate) fn range(offset: u64, size: u32) -> std::ops::Range<usize> {
    let begin = FILE_SIZE.min(offset as usize);
    begin..FILE_SIZE.min(begin + size as usize)
}

/// Whose directory it is.
fn caller(directory: u64) -> Option<u64> {
    directory.checked_sub(DIRECTORIES).filter(|caller| *caller < CALLERS)
}
