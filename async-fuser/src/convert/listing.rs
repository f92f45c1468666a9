use std::ffi::{OsStr, OsString};
use std::hash::Hasher;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::{IntoErrno, Snapshots, Ttl};
use crate::answer::{Entry, Listing, ListingPlus};
use crate::async_filesystem::Result;
use crate::op;
use crate::types::{Errno, FileAttr, FileHandle, FileType, INodeNo};

/// One entry of a directory, as a method `readdir` returns them.
///
/// With attributes it spares a lookup each where the kernel asks for a `readdirplus`, and counts as
/// one: the kernel forgets it as it forgets what it looked up.
///
/// # Examples
///
/// ```
/// use async_fuser::{DirEntry, Errno, FileType, INodeNo, fuse_filesystem};
///
/// struct Files;
///
/// #[fuse_filesystem]
/// impl Files {
///     async fn readdir(&self, ino: INodeNo) -> Result<Vec<DirEntry>, Errno> {
///         Ok(vec![
///             DirEntry::new(ino, FileType::Directory, "."),
///             DirEntry::new(INodeNo(2), FileType::RegularFile, "hello"),
///         ])
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DirEntry {
    /// The inode.
    pub ino: INodeNo,
    /// What kind of file it is.
    pub kind: FileType,
    /// The name.
    pub name: OsString,
    attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq)]
enum Attributes {
    None,
    Attr(FileAttr),
    Entry(Entry),
}

impl DirEntry {
    /// An entry whose attributes the kernel looks up when it needs them.
    pub fn new(ino: INodeNo, kind: FileType, name: impl Into<OsString>) -> Self {
        Self { ino, kind, name: name.into(), attributes: Attributes::None }
    }

    /// An entry with attributes, for which the block's `ttl` counts.
    pub fn with_attr(name: impl Into<OsString>, attr: FileAttr) -> Self {
        Self { attributes: Attributes::Attr(attr), ..Self::new(attr.ino, attr.kind, name) }
    }

    /// An entry with attributes, their times and a generation. `None` if `entry` is a negative one.
    pub fn with_entry(name: impl Into<OsString>, entry: Entry) -> Option<Self> {
        let attr = entry.attr()?;
        Some(Self { attributes: Attributes::Entry(entry), ..Self::new(attr.ino, attr.kind, name) })
    }

    fn entry(&self, ttl: &Ttl) -> Option<Entry> {
        match self.attributes {
            Attributes::None => None,
            Attributes::Attr(attr) => Some(Entry::new(attr, ttl.attr).with_entry_ttl(ttl.entry)),
            Attributes::Entry(entry) => Some(entry),
        }
    }

    fn has_attributes(&self) -> bool {
        self.attributes != Attributes::None
    }
}

/// Becomes an entry of a directory.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no entry of a directory",
    label = "this does not become a `DirEntry`",
    note = "accepted: `DirEntry`, `(INodeNo, FileType, name)`, `(u64, FileType, name)`, \
            `(name, FileAttr)`, where a name is a `&str`, `String`, `OsString` or the like; and a \
            `Result` of these"
)]
pub trait IntoDirEntry {
    /// The entry, or why the listing fails.
    fn into_dir_entry(self) -> Result<DirEntry>;
}

#[diagnostic::do_not_recommend]
impl IntoDirEntry for DirEntry {
    fn into_dir_entry(self) -> Result<DirEntry> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoDirEntry for &DirEntry {
    fn into_dir_entry(self) -> Result<DirEntry> {
        Ok(self.clone())
    }
}

#[diagnostic::do_not_recommend]
impl<N: Into<OsString>> IntoDirEntry for (INodeNo, FileType, N) {
    fn into_dir_entry(self) -> Result<DirEntry> {
        Ok(DirEntry::new(self.0, self.1, self.2))
    }
}

#[diagnostic::do_not_recommend]
impl<N: Into<OsString>> IntoDirEntry for (u64, FileType, N) {
    fn into_dir_entry(self) -> Result<DirEntry> {
        Ok(DirEntry::new(INodeNo(self.0), self.1, self.2))
    }
}

#[diagnostic::do_not_recommend]
impl<N: Into<OsString>> IntoDirEntry for (N, FileAttr) {
    fn into_dir_entry(self) -> Result<DirEntry> {
        Ok(DirEntry::with_attr(self.0, self.1))
    }
}

#[diagnostic::do_not_recommend]
impl<T: IntoDirEntry, E: IntoErrno> IntoDirEntry for Result<T, E> {
    fn into_dir_entry(self) -> Result<DirEntry> {
        self.map_err(IntoErrno::into_errno)?.into_dir_entry()
    }
}

/// Answers `readdir` and `readdirplus`: all entries of a directory, in any order.
///
/// The runtime sorts them by a hash of their names, which is the offset that the kernel goes on
/// from: an entry is neither lost nor repeated when others come and go between two pages of a
/// listing, and `seekdir(3)` finds its place.
///
/// They are held in memory while somebody lists the directory. More than 16,777,216 are refused with
/// `EOVERFLOW`: so is an iterator without an end.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no listing of a directory",
    label = "these are no entries",
    note = "accepted: any `IntoIterator` of `DirEntry`, of `(INodeNo, FileType, name)`, of \
            `(name, FileAttr)`, or of a `Result` of these",
    note = "to keep offsets of your own, fill a parameter `listing: &mut Listing` and return `()`"
)]
pub trait IntoListing {
    /// The entries, or why they cannot be listed.
    fn into_listing(self) -> Result<Vec<DirEntry>>;
}

#[diagnostic::do_not_recommend]
impl<I: IntoIterator<Item: IntoDirEntry>> IntoListing for I {
    fn into_listing(self) -> Result<Vec<DirEntry>> {
        no_more_than(MOST, self.into_iter().map(IntoDirEntry::into_dir_entry))
    }
}

/// How many entries a directory is listed with.
const MOST: usize = 1 << 24;

fn no_more_than(
    most: usize,
    entries: impl Iterator<Item = Result<DirEntry>>,
) -> Result<Vec<DirEntry>> {
    let mut entries = entries.fuse();
    let listed = entries.by_ref().take(most).collect::<Result<_>>()?;
    match entries.next() {
        None => Ok(listed),
        Some(_) => {
            log::error!("a directory lists more than {most} entries: refused");
            Err(Errno::EOVERFLOW)
        }
    }
}

/// Answers a `readdir` or `readdirplus` that takes the operation as a whole: `L` is the answer's
/// own type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no listing of a directory",
    label = "these are no entries",
    note = "accepted: `{L}`, and any `IntoIterator` of `DirEntry`"
)]
pub trait IntoPage<L> {
    /// The page of the listing that is asked for.
    fn into_page(self, page: &Page) -> Result<L>;
}

#[diagnostic::do_not_recommend]
impl IntoPage<Self> for Listing {
    fn into_page(self, _: &Page) -> Result<Self> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoPage<Self> for ListingPlus {
    fn into_page(self, _: &Page) -> Result<Self> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T: IntoListing, L: Pages> IntoPage<L> for T {
    fn into_page(self, page: &Page) -> Result<L> {
        page.listed(Entries::new(self.into_listing()?))
    }
}

/// Which part of a directory's listing is asked for.
#[derive(Clone, Debug)]
pub struct Page {
    ino: INodeNo,
    fh: FileHandle,
    offset: u64,
    size: u32,
    ttl: Ttl,
    snapshots: Option<Arc<Snapshots>>,
}

impl Page {
    pub(crate) fn of<O: Lists>(op: &O, ttl: &Ttl) -> Self {
        let (ino, fh, offset, size) = op.place();
        Self { ino, fh, offset, size, ttl: *ttl, snapshots: Snapshots::current() }
    }

    /// The page out of what was listed for an earlier one, if that is still there.
    ///
    /// Attributes that old are not given: a file written meanwhile would shrink again.
    pub(crate) fn resumed<L: Pages>(&self) -> Option<Result<L>> {
        if self.offset == 0 {
            return None;
        }
        let entries = self.snapshots.as_ref()?.get(self.ino, self.fh)?;
        Some(self.filled(&entries, false))
    }

    /// The page out of what was listed just now.
    pub(crate) fn listed<L: Pages>(&self, entries: Entries) -> Result<L> {
        let entries = Arc::new(entries);
        let listing = self.filled(&entries, true)?;
        if let Some(snapshots) = &self.snapshots {
            if entries.is_kept() && entries.after(self.offset).next().is_some() {
                snapshots.keep(self.ino, self.fh, entries);
            } else {
                // What was kept before is older than this.
                snapshots.release(self.ino, self.fh);
            }
        }
        Ok(listing)
    }

    fn filled<L: Pages>(&self, entries: &Entries, is_fresh: bool) -> Result<L> {
        let mut listing = L::with_room(self.size);
        let mut is_empty = true;
        for (cookie, entry) in entries.after(self.offset) {
            let attributes = if is_fresh { entry.entry(&self.ttl) } else { None };
            if listing.add(*cookie, entry, attributes.as_ref()) {
                if is_empty {
                    // To answer nothing would end the listing.
                    return Err(Errno::EINVAL);
                }
                break;
            }
            is_empty = false;
        }
        if let (true, Some(snapshots)) = (is_empty, &self.snapshots) {
            snapshots.release(self.ino, self.fh);
        }
        Ok(listing)
    }
}

/// A directory's entries by their cookies: what the kernel goes on from behind each.
///
/// A cookie depends on nothing but the name, so it still finds its place when the directory has
/// changed. Two names of one hash, which is next to impossible, are told apart by their order.
#[derive(Debug)]
pub(crate) struct Entries {
    // Invariant: the cookies are ascending, and none is there twice.
    by_cookie: Vec<(u64, DirEntry)>,
    have_attributes: bool,
}

impl Entries {
    /// Of a name that is there twice, the first counts.
    pub(crate) fn new(entries: Vec<DirEntry>) -> Self {
        let have_attributes = entries.iter().any(DirEntry::has_attributes);
        let mut by_cookie: Vec<_> =
            entries.into_iter().map(|entry| (cookie(&entry.name), entry)).collect();
        by_cookie.sort_by(|(one, a), (other, b)| (one, &a.name).cmp(&(other, &b.name)));
        by_cookie.dedup_by(|(_, a), (_, b)| a.name == b.name);
        let mut last = 0;
        for (cookie, _) in &mut by_cookie {
            *cookie = (*cookie).max(last + 1);
            last = *cookie;
        }
        Self { by_cookie, have_attributes }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_cookie.len()
    }

    fn after(&self, offset: u64) -> impl Iterator<Item = &(u64, DirEntry)> {
        let from = self.by_cookie.partition_point(|(cookie, _)| *cookie <= offset);
        self.by_cookie[from..].iter()
    }

    /// Whether to keep them for the next page: attributes would be lost, and where there are few
    /// entries it is cheap to list them anew.
    fn is_kept(&self) -> bool {
        const FEW: usize = 1024;
        !self.have_attributes || self.len() > FEW
    }
}

/// Where an entry is in a listing: from 3 on and below 2^62, but for `.` and `..`, which come first.
fn cookie(name: &OsStr) -> u64 {
    match name.as_bytes() {
        b"." => 1,
        b".." => 2,
        bytes => {
            // The same within a process, and hard to hit on purpose.
            #[allow(deprecated, reason = "its successor may change from one Rust to the next")]
            let mut hasher = std::hash::SipHasher::new();
            hasher.write(bytes);
            (hasher.finish() >> 2).max(3)
        }
    }
}

/// The two operations that list a directory.
pub trait Lists {
    /// What answers it.
    type Listing: Pages;

    /// The directory, and where and how much of it to list.
    fn place(&self) -> (INodeNo, FileHandle, u64, u32);
}

impl Lists for op::Readdir<'_> {
    type Listing = Listing;

    fn place(&self) -> (INodeNo, FileHandle, u64, u32) {
        (self.ino, self.fh, self.offset, self.size)
    }
}

impl Lists for op::Readdirplus<'_> {
    type Listing = ListingPlus;

    fn place(&self) -> (INodeNo, FileHandle, u64, u32) {
        (self.ino, self.fh, self.offset, self.size)
    }
}

/// A listing that is filled with entries.
pub trait Pages: Sized {
    fn with_room(size: u32) -> Self;

    /// True if there was no room.
    fn add(&mut self, cookie: u64, entry: &DirEntry, attributes: Option<&Entry>) -> bool;
}

impl Pages for Listing {
    fn with_room(size: u32) -> Self {
        Self::with_room(size)
    }

    fn add(&mut self, cookie: u64, entry: &DirEntry, _: Option<&Entry>) -> bool {
        Self::add(self, entry.ino, cookie, entry.kind, &entry.name)
    }
}

impl Pages for ListingPlus {
    fn with_room(size: u32) -> Self {
        Self::with_room(size)
    }

    fn add(&mut self, cookie: u64, entry: &DirEntry, attributes: Option<&Entry>) -> bool {
        match attributes {
            Some(attributes) => Self::add(self, cookie, &entry.name, attributes),
            None => self.add_without_attributes(entry.ino, cookie, entry.kind, &entry.name),
        }
    }
}

#[cfg(all(test, feature = "macros"))]
mod tests {
    use super::*;
    use crate::convert::tests::{attr, names, offsets};

    fn entries(names: impl IntoIterator<Item = String>) -> Entries {
        let entry = |name| DirEntry::new(INodeNo(5), FileType::RegularFile, name);
        Entries::new(names.into_iter().map(entry).collect())
    }

    fn page(offset: u64, size: u32, snapshots: Option<&Arc<Snapshots>>) -> Page {
        let (ino, fh) = (INodeNo(1), FileHandle(7));
        Page { ino, fh, offset, size, ttl: Ttl::DEFAULT, snapshots: snapshots.cloned() }
    }

    /// Lists a directory page by page; `there` are its names when a page is asked for.
    fn whole(size: u32, mut there: impl FnMut(usize) -> Vec<String>) -> Vec<String> {
        let (mut listed, mut offset) = (Vec::new(), 0);
        for at in 0.. {
            let page: Listing = page(offset, size, None).listed(entries(there(at))).unwrap();
            let Some(last) = offsets(page.as_bytes()).last().copied() else { break };
            assert!(last > offset, "it goes on");
            offset = last;
            listed.extend(names(page.as_bytes()));
        }
        listed
    }

    fn sorted(mut names: Vec<String>) -> Vec<String> {
        names.sort();
        names
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let entries =
            || (0..).map(|n: u32| DirEntry::new(INodeNo(n.into()), FileType::NamedPipe, "n"));
        let listed =
            |count, most| no_more_than(most, entries().take(count).map(Ok)).map(|e| e.len());
        assert_eq!([listed(0, 9), listed(9, 9), listed(0, 0)], [Ok(0), Ok(9), Ok(0)]);
        assert_eq!([listed(10, 9), listed(1, 0)], [Err(Errno::EOVERFLOW); 2]);
        assert_eq!(no_more_than(1000, entries().map(Ok)), Err(Errno::EOVERFLOW));
        let broken = entries().take(3).map(Ok).chain([Err(Errno::EIO)]).chain(entries().map(Ok));
        assert_eq!(no_more_than(4, broken), Err(Errno::EIO));
    }

    #[test]
    fn every_page_size_lists_every_name_once() {
        let all: Vec<_> = (0..300).map(|n| format!("name-{n}")).collect();
        for size in [40, 64, 100, 1000, 4096, 1 << 20] {
            assert_eq!(sorted(whole(size, |_| all.clone())), sorted(all.clone()), "{size}");
        }
    }

    #[test]
    fn what_stays_is_listed_once_while_the_rest_comes_and_goes() {
        let stays: Vec<_> = (0..100).map(|n| format!("stays-{n}")).collect();
        let listed = whole(200, |at| {
            let comes = (0..50).map(|n| format!("comes-{at}-{n}"));
            stays.iter().cloned().chain(comes).collect()
        });
        let listed: Vec<_> = listed.into_iter().filter(|name| name.starts_with("stays")).collect();
        assert_eq!(sorted(listed), sorted(stays));
    }

    #[test]
    fn the_dots_come_first_at_fixed_places() {
        let entries = entries(["b", "..", "a", "."].map(str::to_owned));
        let cookies: Vec<_> = entries.by_cookie.iter().map(|(cookie, _)| *cookie).collect();
        let names: Vec<_> = entries.by_cookie.iter().map(|(_, entry)| &entry.name).collect();
        assert_eq!((cookies[0], cookies[1]), (1, 2));
        assert_eq!((names[0].to_str(), names[1].to_str()), (Some("."), Some("..")));
        assert!(cookies[2] >= 3 && cookies[3] > cookies[2] && cookies[3] <= 1 << 62);
    }

    #[test]
    fn a_name_that_is_there_twice_is_listed_once() {
        let first = DirEntry::new(INodeNo(1), FileType::RegularFile, "twice");
        let second = DirEntry::new(INodeNo(2), FileType::Directory, "twice");
        let entries = Entries::new(vec![first.clone(), second]);
        assert_eq!(entries.by_cookie.len(), 1);
        assert_eq!(entries.by_cookie[0].1, first);
    }

    #[test]
    fn a_page_too_small_for_its_first_entry_is_an_error_and_not_the_end() {
        let listing = page(0, 31, None).listed::<Listing>(entries(["a".to_owned()]));
        assert_eq!(listing.unwrap_err(), Errno::EINVAL);
        let listing = page(0, 31, None).listed::<Listing>(entries([])).unwrap();
        assert_eq!(listing.as_bytes(), b"");
        let listing = page(0, 151, None).listed::<ListingPlus>(entries(["a".to_owned()]));
        assert_eq!(listing.unwrap_err(), Errno::EINVAL);
    }

    #[test]
    fn a_snapshot_serves_the_later_pages_and_ends_with_the_listing() {
        let snapshots = Arc::new(Snapshots::default());
        let all: Vec<_> = (0..50).map(|n| format!("name-{n}")).collect();
        let first: Listing = page(0, 400, Some(&snapshots)).listed(entries(all.clone())).unwrap();
        let mut listed = names(first.as_bytes());
        let mut offset = *offsets(first.as_bytes()).last().unwrap();
        loop {
            let next = page(offset, 400, Some(&snapshots)).resumed::<Listing>();
            let next = next.expect("it is kept").unwrap();
            let Some(last) = offsets(next.as_bytes()).last().copied() else { break };
            listed.extend(names(next.as_bytes()));
            offset = last;
        }
        assert_eq!(sorted(listed), sorted(all));
        assert!(page(offset, 400, Some(&snapshots)).resumed::<Listing>().is_none(), "it ended");
    }

    #[test]
    fn the_beginning_is_never_resumed_and_what_is_released_is_gone() {
        let snapshots = Arc::new(Snapshots::default());
        let list = || {
            let all = (0..50).map(|n| format!("name-{n}"));
            page(0, 400, Some(&snapshots)).listed::<Listing>(entries(all)).unwrap()
        };
        let offset = *offsets(list().as_bytes()).last().unwrap();
        assert!(page(0, 400, Some(&snapshots)).resumed::<Listing>().is_none());
        assert!(page(offset, 400, Some(&snapshots)).resumed::<Listing>().is_some());
        snapshots.release(INodeNo(1), FileHandle(8));
        assert!(page(offset, 400, Some(&snapshots)).resumed::<Listing>().is_some());
        snapshots.release(INodeNo(1), FileHandle(7));
        assert!(page(offset, 400, Some(&snapshots)).resumed::<Listing>().is_none());
    }

    #[test]
    fn attributes_are_given_fresh_or_not_at_all() {
        let snapshots = Arc::new(Snapshots::default());
        let many = |count: u64| {
            let entry = |n| DirEntry::with_attr(format!("name-{n}"), attr(n + 10));
            Entries::new((0..count).map(entry).collect())
        };
        let nodeid = |bytes: &[u8]| u64::from_ne_bytes(bytes[..8].try_into().unwrap());
        let few: ListingPlus = page(0, 400, Some(&snapshots)).listed(many(10)).unwrap();
        assert!(nodeid(few.as_bytes()) >= 10);
        let resumed = page(1, 400, Some(&snapshots)).resumed::<ListingPlus>();
        assert!(resumed.is_none(), "few are listed anew");
        let _first: ListingPlus = page(0, 400, Some(&snapshots)).listed(many(2000)).unwrap();
        let resumed = page(1, 400, Some(&snapshots)).resumed::<ListingPlus>();
        assert_eq!(nodeid(resumed.expect("many are kept").unwrap().as_bytes()), 0);
    }

    #[test]
    fn a_fallible_iterator_fails_the_listing() {
        let items = [
            Ok((2, FileType::RegularFile, "one")),
            Err(std::io::Error::from_raw_os_error(libc::EACCES)),
        ];
        let listing: Result<Listing> = items.into_page(&page(0, 4096, None));
        assert_eq!(listing.unwrap_err(), Errno::EACCES);
    }
}
