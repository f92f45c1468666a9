use std::ffi::OsStr;
use std::mem;
use std::os::unix::ffi::OsStrExt;

use super::Entry;
use crate::op;
use crate::spare;
use crate::types::{FileType, INodeNo};
use crate::wire::dirents::Dirents;

/// Answers [`readdir`](crate::AsyncFilesystem::readdir): entries are added until there is no room.
///
/// # Examples
///
/// ```
/// use async_fuser::lib_async::{Listing, Result};
/// use async_fuser::{FileType, INodeNo, op};
///
/// async fn readdir(op: op::Readdir<'_>) -> Result<Listing> {
///     let mut listing = Listing::new(&op);
///     let names = ["one", "two"];
///     // An entry's offset is where the kernel goes on behind it.
///     for (at, name) in names.iter().enumerate().skip(op.offset as usize) {
///         let is_full = listing.add(INodeNo(2), at as u64 + 1, FileType::RegularFile, name);
///         if is_full {
///             break;
///         }
///     }
///     Ok(listing)
/// }
/// ```
#[derive(Debug)]
pub struct Listing(Dirents);

impl Listing {
    /// An empty listing with as much room as this caller has. Sent like this, it says that the
    /// directory has no more entries.
    pub fn new(op: &op::Readdir<'_>) -> Self {
        Self::with_room(op.size)
    }

    pub(crate) fn with_room(size: u32) -> Self {
        Self(Dirents::new(spare::take(), size as usize))
    }

    /// Adds an entry. True if there was no room for it: return what there is, and begin with this
    /// entry when the kernel asks for more.
    ///
    /// `offset` is what the kernel passes back to go on after this entry: any number but 0 that
    /// still finds its place when the directory has changed.
    #[must_use = "an entry that did not fit must be the first of the next listing"]
    pub fn add(
        &mut self,
        ino: INodeNo,
        offset: u64,
        kind: FileType,
        name: impl AsRef<OsStr>,
    ) -> bool {
        self.0.add(ino, offset, kind, name.as_ref().as_bytes())
    }

    /// How many bytes of packed entries there is still room for. An entry takes 24 bytes and its
    /// name, rounded up to a multiple of 8.
    pub fn remaining_capacity(&self) -> usize {
        self.0.remaining()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        spare::give(mem::take(&mut self.0).into_buffer());
    }
}

/// Answers [`readdirplus`](crate::AsyncFilesystem::readdirplus): entries with attributes are added
/// until there is no room.
#[derive(Debug)]
pub struct ListingPlus(Dirents);

impl ListingPlus {
    /// An empty listing with as much room as this caller has.
    pub fn new(op: &op::Readdirplus<'_>) -> Self {
        Self::with_room(op.size)
    }

    pub(crate) fn with_room(size: u32) -> Self {
        Self(Dirents::new(spare::take(), size as usize))
    }

    /// Adds an entry, as [`Listing::add`] does. The kernel counts one lookup of its inode, but for
    /// `.` and `..`.
    #[must_use = "an entry that did not fit must be the first of the next listing"]
    pub fn add(&mut self, offset: u64, name: impl AsRef<OsStr>, entry: &Entry) -> bool {
        let Some(attr) = entry.attr() else { return false };
        let (ino, kind) = (attr.ino, attr.kind);
        self.0.add_plus(ino, offset, kind, name.as_ref().as_bytes(), &entry.body())
    }

    /// Adds an entry whose attributes are not known: the kernel looks it up when it needs them.
    #[must_use = "an entry that did not fit must be the first of the next listing"]
    pub fn add_without_attributes(
        &mut self,
        ino: INodeNo,
        offset: u64,
        kind: FileType,
        name: impl AsRef<OsStr>,
    ) -> bool {
        self.0.add_plus(ino, offset, kind, name.as_ref().as_bytes(), &Default::default())
    }

    /// How many bytes of packed entries there is still room for. An entry takes 152 bytes and its
    /// name, rounded up to a multiple of 8.
    pub fn remaining_capacity(&self) -> usize {
        self.0.remaining()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Drop for ListingPlus {
    fn drop(&mut self) {
        spare::give(mem::take(&mut self.0).into_buffer());
    }
}
