use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::statvfs::Statvfs;

use crate::answer::*;
use crate::async_filesystem::Result;
use crate::transport::BackingId;
use crate::types::{Errno, FileAttr, FileHandle, FopenFlags, PollEvents, StatxAttr};

/// How long the kernel may use what it is told without asking again, where an answer does not say
/// so itself: `#[fuse_filesystem(ttl = "1s")]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ttl {
    /// That a name is there.
    pub entry: Duration,
    /// A file's attributes.
    pub attr: Duration,
    /// That a name is not there.
    pub negative: Duration,
}

impl Ttl {
    /// One second for everything.
    pub const DEFAULT: Self = Self {
        entry: Duration::from_secs(1),
        attr: Duration::from_secs(1),
        negative: Duration::from_secs(1),
    };

    /// With one time for everything.
    #[must_use]
    pub const fn all(self, ttl: Duration) -> Self {
        Self { entry: ttl, attr: ttl, negative: ttl }
    }

    /// With another [`entry`](Self::entry).
    #[must_use]
    pub const fn entry(self, entry: Duration) -> Self {
        Self { entry, ..self }
    }

    /// With another [`attr`](Self::attr).
    #[must_use]
    pub const fn attr(self, attr: Duration) -> Self {
        Self { attr, ..self }
    }

    /// With another [`negative`](Self::negative).
    #[must_use]
    pub const fn negative(self, negative: Duration) -> Self {
        Self { negative, ..self }
    }
}

/// What a method returns: a `Result`, under whatever name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Result`",
    label = "an operation returns a `Result`",
    note = "return `Result<T, E>`, where `T` is the answer and `E` becomes an `Errno`"
)]
pub trait Outcome {
    /// What becomes the answer.
    type Answer;
    /// What becomes an [`Errno`].
    type Error;
}

#[diagnostic::do_not_recommend]
impl<T, E> Outcome for Result<T, E> {
    type Answer = T;
    type Error = E;
}

/// An error that an operation can fail with: whatever is `Into<Errno>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not become an `Errno`",
    label = "no operation can fail with this",
    note = "what does: `Errno`, `std::io::Error`, `nix::errno::Errno`",
    note = "for an error of your own, implement `From<{Self}> for Errno`"
)]
pub trait IntoErrno {
    /// What the caller's system call fails with.
    fn into_errno(self) -> Errno;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Errno>> IntoErrno for E {
    #[inline]
    fn into_errno(self) -> Errno {
        self.into()
    }
}

/// An error that ends a session before it has begun: whatever is `Into<io::Error>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not become an `std::io::Error`",
    label = "a session cannot fail to begin with this",
    note = "what does: `std::io::Error`, `Errno`, and whatever is `Into<std::io::Error>`"
)]
pub trait IntoInitError {
    /// What the session fails with.
    fn into_init_error(self) -> io::Error;
}

#[diagnostic::do_not_recommend]
impl<E: Into<io::Error>> IntoInitError for E {
    fn into_init_error(self) -> io::Error {
        self.into()
    }
}

/// Answers an operation that is not answered: `forget`, `batch_forget`, `destroy`.
#[diagnostic::on_unimplemented(
    message = "nobody waits for an answer of this operation, and it returned `{Self}`",
    label = "this reaches nobody",
    note = "`forget`, `batch_forget` and `destroy` return `()`"
)]
pub trait IntoNothing {}

#[diagnostic::do_not_recommend]
impl IntoNothing for () {}

/// Answers an operation that is just done: `()`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to this operation",
    label = "there is nothing to say but that it is done",
    note = "accepted: `()`"
)]
pub trait IntoEmpty {
    /// Nothing, or an error.
    fn into_empty(self) -> Result<()>;
}

#[diagnostic::do_not_recommend]
impl IntoEmpty for () {
    #[inline]
    fn into_empty(self) -> Result<()> {
        Ok(())
    }
}

/// Answers `mkdir`, `mknod`, `symlink`, `link`, and `lookup` as well.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no directory entry",
    label = "this does not become an `Entry`",
    note = "accepted: `FileAttr`, `(FileAttr, Duration)`, `Entry`"
)]
pub trait IntoEntry {
    /// The entry. `ttl` are the times that the answer need not say itself.
    fn into_entry(self, ttl: &Ttl) -> Result<Entry>;
}

#[diagnostic::do_not_recommend]
impl IntoEntry for Entry {
    fn into_entry(self, _: &Ttl) -> Result<Entry> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoEntry for FileAttr {
    fn into_entry(self, ttl: &Ttl) -> Result<Entry> {
        Ok(Entry::new(self, ttl.attr).with_entry_ttl(ttl.entry))
    }
}

#[diagnostic::do_not_recommend]
impl IntoEntry for (FileAttr, Duration) {
    fn into_entry(self, _: &Ttl) -> Result<Entry> {
        Ok(Entry::new(self.0, self.1))
    }
}

/// Answers `lookup`: an entry, or that there is none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to `lookup`",
    label = "this does not become an `Entry`",
    note = "accepted: `FileAttr`, `(FileAttr, Duration)`, `Entry`, and an `Option` of these, whose \
            `None` the kernel remembers"
)]
pub trait IntoLookup {
    /// The entry. `ttl` are the times that the answer need not say itself.
    fn into_lookup(self, ttl: &Ttl) -> Result<Entry>;
}

#[diagnostic::do_not_recommend]
impl<T: IntoEntry> IntoLookup for T {
    fn into_lookup(self, ttl: &Ttl) -> Result<Entry> {
        self.into_entry(ttl)
    }
}

#[diagnostic::do_not_recommend]
impl<T: IntoEntry> IntoLookup for Option<T> {
    fn into_lookup(self, ttl: &Ttl) -> Result<Entry> {
        self.map_or_else(|| Ok(Entry::negative(ttl.negative)), |entry| entry.into_entry(ttl))
    }
}

/// Answers `getattr` and `setattr`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not become attributes",
    label = "this does not become an `Attr`",
    note = "accepted: `FileAttr`, `(FileAttr, Duration)`, `Attr`"
)]
pub trait IntoAttr {
    /// The attributes. `ttl` are the times that the answer need not say itself.
    fn into_attr(self, ttl: &Ttl) -> Result<Attr>;
}

#[diagnostic::do_not_recommend]
impl IntoAttr for Attr {
    fn into_attr(self, _: &Ttl) -> Result<Attr> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoAttr for FileAttr {
    fn into_attr(self, ttl: &Ttl) -> Result<Attr> {
        Ok(Attr::new(self, ttl.attr))
    }
}

#[diagnostic::do_not_recommend]
impl IntoAttr for (FileAttr, Duration) {
    fn into_attr(self, _: &Ttl) -> Result<Attr> {
        Ok(Attr::new(self.0, self.1))
    }
}

/// Answers `statx`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to `statx`",
    label = "this does not become a `Statx`",
    note = "accepted: `StatxAttr`, `(StatxAttr, Duration)`, `FileAttr`, `Statx`"
)]
pub trait IntoStatx {
    /// The attributes. `ttl` are the times that the answer need not say itself.
    fn into_statx(self, ttl: &Ttl) -> Result<Statx>;
}

#[diagnostic::do_not_recommend]
impl IntoStatx for Statx {
    fn into_statx(self, _: &Ttl) -> Result<Statx> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoStatx for StatxAttr {
    fn into_statx(self, ttl: &Ttl) -> Result<Statx> {
        Ok(Statx::new(self, ttl.attr))
    }
}

#[diagnostic::do_not_recommend]
impl IntoStatx for FileAttr {
    fn into_statx(self, ttl: &Ttl) -> Result<Statx> {
        Ok(Statx::new(self, ttl.attr))
    }
}

#[diagnostic::do_not_recommend]
impl IntoStatx for (StatxAttr, Duration) {
    fn into_statx(self, _: &Ttl) -> Result<Statx> {
        Ok(Statx::new(self.0, self.1))
    }
}

/// Answers `readlink`: where the link points.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no target of a link",
    label = "a link does not point to this",
    note = "accepted: `PathBuf`, `OsString`, `String`, `Vec<u8>`, and `&Path`, `&OsStr`, `&str`, \
            `&[u8]` borrowed from `self`"
)]
pub trait IntoTarget<'a> {
    /// The target's bytes.
    fn into_target(self) -> Result<Data<'a>>;
}

#[diagnostic::do_not_recommend]
impl<'a, T: Into<Data<'a>>> IntoTarget<'a> for T {
    fn into_target(self) -> Result<Data<'a>> {
        Ok(self.into())
    }
}

#[diagnostic::do_not_recommend]
impl IntoTarget<'_> for PathBuf {
    fn into_target(self) -> Result<Data<'static>> {
        Ok(self.into_os_string().into_vec().into())
    }
}

#[diagnostic::do_not_recommend]
impl IntoTarget<'_> for OsString {
    fn into_target(self) -> Result<Data<'static>> {
        Ok(self.into_vec().into())
    }
}

#[diagnostic::do_not_recommend]
impl<'a> IntoTarget<'a> for &'a Path {
    fn into_target(self) -> Result<Data<'a>> {
        Ok(self.as_os_str().as_bytes().into())
    }
}

#[diagnostic::do_not_recommend]
impl<'a> IntoTarget<'a> for &'a OsStr {
    fn into_target(self) -> Result<Data<'a>> {
        Ok(self.as_bytes().into())
    }
}

/// Answers `read`.
///
/// A method that says neither by `offset` nor by `size` (nor by `buf`) which part of the file it
/// reads returns all of it, and the runtime takes the part out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to `read`",
    label = "these are no bytes",
    note = "accepted: `Vec<u8>`, `Bytes`, `Arc<[u8]>`, `Box<[u8]>`, `String`, `&[u8]` and `&str` \
            borrowed from `self`, a file with a range of it `(File, Range<u64>)`, `ReadBuffer`, \
            `Data`",
    note = "a method that takes `buf: &mut [u8]` returns how much it wrote there"
)]
pub trait IntoData<'a> {
    /// The bytes.
    fn into_data(self) -> Result<Data<'a>>;
}

#[diagnostic::do_not_recommend]
impl<'a, T: Into<Data<'a>>> IntoData<'a> for T {
    #[inline]
    fn into_data(self) -> Result<Data<'a>> {
        Ok(self.into())
    }
}

#[diagnostic::do_not_recommend]
impl<'a> IntoData<'a> for Cow<'a, [u8]> {
    fn into_data(self) -> Result<Data<'a>> {
        Ok(match self {
            Cow::Borrowed(bytes) => bytes.into(),
            Cow::Owned(bytes) => bytes.into(),
        })
    }
}

#[diagnostic::do_not_recommend]
impl<'a> IntoData<'a> for (BorrowedFd<'a>, Range<u64>) {
    fn into_data(self) -> Result<Data<'a>> {
        Ok(Data::from_file(self.0, self.1))
    }
}

#[diagnostic::do_not_recommend]
impl IntoData<'_> for (File, Range<u64>) {
    fn into_data(self) -> Result<Data<'static>> {
        Ok(Data::from_owned_file(self.0, self.1))
    }
}

#[diagnostic::do_not_recommend]
impl IntoData<'_> for (OwnedFd, Range<u64>) {
    fn into_data(self) -> Result<Data<'static>> {
        Ok(Data::from_owned_file(self.0, self.1))
    }
}

#[diagnostic::do_not_recommend]
impl IntoData<'_> for (Arc<OwnedFd>, Range<u64>) {
    fn into_data(self) -> Result<Data<'static>> {
        Ok(Data::from_shared_file(self.0, self.1))
    }
}

/// Answers `read` where it wrote into `buf`: how many bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not how many bytes were written into `buf`",
    label = "this is no number of bytes",
    note = "accepted: `usize`, `u32`, `u64`"
)]
pub trait IntoFilled {
    /// How many bytes.
    fn into_filled(self) -> Result<usize>;
}

/// Answers `write` and `copy_file_range`: how many bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not how many bytes were written",
    label = "this is no number of bytes",
    note = "accepted: `usize`, `u32`, `u64`, `Written`"
)]
pub trait IntoWritten {
    /// How many bytes.
    fn into_written(self) -> Result<Written>;
}

macro_rules! counts {
    ($($int:ty)*) => { $(
        #[diagnostic::do_not_recommend]
        impl IntoFilled for $int {
            #[inline]
            fn into_filled(self) -> Result<usize> {
                usize::try_from(self).map_err(|_| Errno::EIO)
            }
        }

        #[diagnostic::do_not_recommend]
        impl IntoWritten for $int {
            #[inline]
            fn into_written(self) -> Result<Written> {
                u64::try_from(self).map(Written).map_err(|_| Errno::EIO)
            }
        }
    )* };
}
counts!(usize u32 u64);

#[diagnostic::do_not_recommend]
impl IntoWritten for Written {
    fn into_written(self) -> Result<Written> {
        Ok(self)
    }
}

/// Answers `open` and `opendir`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no open file",
    label = "this does not become an `Opened`",
    note = "accepted: `FileHandle`, `u64`, `()`, `(FileHandle, FopenFlags)`, `Opened`, and for \
            passthrough `(FileHandle, &BackingId)` or `(FileHandle, Arc<BackingId>)`"
)]
pub trait IntoOpened {
    /// The open file.
    fn into_opened(self) -> Result<Opened>;
}

#[diagnostic::do_not_recommend]
impl IntoOpened for Opened {
    fn into_opened(self) -> Result<Opened> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoOpened for FileHandle {
    fn into_opened(self) -> Result<Opened> {
        Ok(Opened::new(self))
    }
}

#[diagnostic::do_not_recommend]
impl IntoOpened for u64 {
    fn into_opened(self) -> Result<Opened> {
        Ok(Opened::new(FileHandle(self)))
    }
}

/// The handle is 0.
#[diagnostic::do_not_recommend]
impl IntoOpened for () {
    fn into_opened(self) -> Result<Opened> {
        Ok(Opened::new(FileHandle(0)))
    }
}

#[diagnostic::do_not_recommend]
impl<T: IntoOpened> IntoOpened for (T, FopenFlags) {
    fn into_opened(self) -> Result<Opened> {
        Ok(self.0.into_opened()?.with_flags(self.1))
    }
}

#[diagnostic::do_not_recommend]
impl<T: IntoOpened> IntoOpened for (T, &BackingId) {
    fn into_opened(self) -> Result<Opened> {
        Ok(self.0.into_opened()?.with_backing(self.1))
    }
}

/// Keep another `Arc` of it as long as the file is open.
#[diagnostic::do_not_recommend]
impl<T: IntoOpened> IntoOpened for (T, Arc<BackingId>) {
    fn into_opened(self) -> Result<Opened> {
        Ok(self.0.into_opened()?.with_backing(&self.1))
    }
}

/// Answers `create` and `tmpfile`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no new file that is open",
    label = "this does not become a `Created`",
    note = "accepted: `(FileAttr, FileHandle)`, `(FileAttr, FileHandle, FopenFlags)`, \
            `(FileAttr, Duration, FileHandle)`, `(FileAttr, Opened)`, `FileAttr`, `Created`; \
            instead of `FileHandle` also `u64` or `()`"
)]
pub trait IntoCreated {
    /// The new file. `ttl` are the times that the answer need not say itself.
    fn into_created(self, ttl: &Ttl) -> Result<Created>;
}

#[diagnostic::do_not_recommend]
impl IntoCreated for Created {
    fn into_created(self, _: &Ttl) -> Result<Created> {
        Ok(self)
    }
}

/// The handle is 0.
#[diagnostic::do_not_recommend]
impl IntoCreated for FileAttr {
    fn into_created(self, ttl: &Ttl) -> Result<Created> {
        (self, ()).into_created(ttl)
    }
}

#[diagnostic::do_not_recommend]
impl<T: IntoOpened> IntoCreated for (FileAttr, T) {
    fn into_created(self, ttl: &Ttl) -> Result<Created> {
        let opened = self.1.into_opened()?;
        Ok(Created::new(self.0, ttl.attr, opened).with_entry_ttl(ttl.entry))
    }
}

#[diagnostic::do_not_recommend]
impl<T: IntoOpened> IntoCreated for (FileAttr, T, FopenFlags) {
    fn into_created(self, ttl: &Ttl) -> Result<Created> {
        (self.0, (self.1, self.2)).into_created(ttl)
    }
}

#[diagnostic::do_not_recommend]
impl<T: IntoOpened> IntoCreated for (FileAttr, Duration, T) {
    fn into_created(self, _: &Ttl) -> Result<Created> {
        Ok(Created::new(self.0, self.1, self.2.into_opened()?))
    }
}

/// Answers `statfs`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to `statfs`",
    label = "these are not the sizes of a filesystem",
    note = "accepted: `Statfs`, `nix::sys::statvfs::Statvfs`"
)]
pub trait IntoStatfs {
    /// The sizes.
    fn into_statfs(self) -> Result<Statfs>;
}

#[diagnostic::do_not_recommend]
impl IntoStatfs for Statfs {
    fn into_statfs(self) -> Result<Statfs> {
        Ok(self)
    }
}

#[allow(clippy::useless_conversion, reason = "the types differ from system to system")]
#[diagnostic::do_not_recommend]
impl IntoStatfs for Statvfs {
    fn into_statfs(self) -> Result<Statfs> {
        let small = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Statfs {
            blocks: self.blocks().into(),
            bfree: self.blocks_free().into(),
            bavail: self.blocks_available().into(),
            files: self.files().into(),
            ffree: self.files_free().into(),
            bsize: small(self.block_size()),
            namelen: small(self.name_max()),
            frsize: small(self.fragment_size()),
        })
    }
}

/// Answers `getxattr`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no value of an extended attribute",
    label = "these are no bytes",
    note = "accepted: `Vec<u8>`, `Bytes`, `Arc<[u8]>`, `String`, `&[u8]` and `&str` borrowed from \
            `self`, `Xattr`, and an `Option` of these, whose `None` is `Errno::NO_XATTR`"
)]
pub trait IntoValue<'a> {
    /// The value. Whether there is room for it is seen to later.
    fn into_value(self) -> Result<Xattr<'a>>;
}

#[diagnostic::do_not_recommend]
impl<'a, T: Into<Data<'a>>> IntoValue<'a> for T {
    fn into_value(self) -> Result<Xattr<'a>> {
        Ok(Xattr::new(self))
    }
}

#[diagnostic::do_not_recommend]
impl<'a> IntoValue<'a> for Xattr<'a> {
    fn into_value(self) -> Result<Self> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl<'a, T: IntoValue<'a>> IntoValue<'a> for Option<T> {
    fn into_value(self) -> Result<Xattr<'a>> {
        self.ok_or(Errno::NO_XATTR)?.into_value()
    }
}

/// Answers `listxattr`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of names",
    label = "these are no names of extended attributes",
    note = "accepted: any `IntoIterator` of `&str`, `String`, `&OsStr`, `OsString`, `&[u8]` or \
            `Vec<u8>`; and `Xattr`, or `Vec<u8>` with a zero after each name"
)]
pub trait IntoNames<'a> {
    /// The names, with a zero after each. Whether there is room for them is seen to later.
    fn into_names(self) -> Result<Xattr<'a>>;
}

#[diagnostic::do_not_recommend]
impl<'a> IntoNames<'a> for Xattr<'a> {
    fn into_names(self) -> Result<Self> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl<I: IntoIterator<Item: XattrName>> IntoNames<'_> for I {
    fn into_names(self) -> Result<Xattr<'static>> {
        let mut names = Vec::new();
        self.into_iter().for_each(|name| name.append_to(&mut names));
        Ok(Xattr::new(names))
    }
}

/// The name of an extended attribute; or a `u8` of names that have a zero after each already.
pub trait XattrName {
    /// Appends the name and a zero. One that is empty or has a zero in it, which nobody could ask
    /// for, is left out.
    fn append_to(&self, names: &mut Vec<u8>);
}

#[diagnostic::do_not_recommend]
impl XattrName for u8 {
    fn append_to(&self, names: &mut Vec<u8>) {
        names.push(*self);
    }
}

#[diagnostic::do_not_recommend]
impl XattrName for [u8] {
    fn append_to(&self, names: &mut Vec<u8>) {
        if self.is_empty() || self.contains(&0) {
            log::warn!("left out of a list of extended attributes: \"{}\"", self.escape_ascii());
            return;
        }
        names.extend_from_slice(self);
        names.push(0);
    }
}

macro_rules! xattr_names {
    ($($name:ty: $bytes:path;)*) => { $(
        #[diagnostic::do_not_recommend]
        impl XattrName for $name {
            fn append_to(&self, names: &mut Vec<u8>) {
                $bytes(self).append_to(names);
            }
        }
    )* };
}

xattr_names! {
    str: str::as_bytes;
    String: str::as_bytes;
    OsStr: OsStr::as_bytes;
    OsString: OsStr::as_bytes;
    Vec<u8>: Vec::as_slice;
}

#[diagnostic::do_not_recommend]
impl<T: XattrName + ?Sized> XattrName for &T {
    fn append_to(&self, names: &mut Vec<u8>) {
        T::append_to(self, names);
    }
}

/// Answers `getlk`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to `getlk`",
    label = "this is no lock",
    note = "accepted: `Option<Lock>`, whose `None` is that no lock stands in the way, and `Lock`"
)]
pub trait IntoLock {
    /// The lock.
    fn into_lock(self) -> Result<Lock>;
}

#[diagnostic::do_not_recommend]
impl IntoLock for Lock {
    fn into_lock(self) -> Result<Lock> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoLock for Option<Lock> {
    fn into_lock(self) -> Result<Lock> {
        #[allow(clippy::unnecessary_cast, reason = "it is a shorter integer on the BSDs")]
        const UNLOCKED: Lock = Lock { start: 0, end: 0, typ: libc::F_UNLCK as i32, pid: 0 };
        Ok(self.unwrap_or(UNLOCKED))
    }
}

/// Answers `bmap`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to `bmap`",
    label = "this is no block",
    note = "accepted: `u64`, `Block`"
)]
pub trait IntoBlock {
    /// The block.
    fn into_block(self) -> Result<Block>;
}

#[diagnostic::do_not_recommend]
impl IntoBlock for Block {
    fn into_block(self) -> Result<Block> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoBlock for u64 {
    fn into_block(self) -> Result<Block> {
        Ok(Block(self))
    }
}

/// Answers `ioctl`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to `ioctl`",
    label = "`ioctl(2)` does not return this",
    note = "accepted: `i32`, `()`, bytes that are passed out (`Vec<u8>`, `Bytes`, `&[u8]`, ...) or \
            `(i32, Vec<u8>)`, `Ioctl`"
)]
pub trait IntoIoctl<'a> {
    /// What `ioctl(2)` returns and passes out.
    fn into_ioctl(self) -> Result<Ioctl<'a>>;
}

#[diagnostic::do_not_recommend]
impl<'a> IntoIoctl<'a> for Ioctl<'a> {
    fn into_ioctl(self) -> Result<Self> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoIoctl<'_> for i32 {
    fn into_ioctl(self) -> Result<Ioctl<'static>> {
        Ok(Ioctl::new(self))
    }
}

#[diagnostic::do_not_recommend]
impl IntoIoctl<'_> for () {
    fn into_ioctl(self) -> Result<Ioctl<'static>> {
        Ok(Ioctl::new(0))
    }
}

#[diagnostic::do_not_recommend]
impl<'a, T: Into<Data<'a>>> IntoIoctl<'a> for (i32, T) {
    fn into_ioctl(self) -> Result<Ioctl<'a>> {
        Ok(Ioctl::new(self.0).with_data(self.1))
    }
}

#[diagnostic::do_not_recommend]
impl<'a, T: Into<Data<'a>>> IntoIoctl<'a> for T {
    fn into_ioctl(self) -> Result<Ioctl<'a>> {
        Ok(Ioctl::new(0).with_data(self))
    }
}

/// Answers `poll`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to `poll`",
    label = "these are no events",
    note = "accepted: `PollEvents`, `Poll`"
)]
pub trait IntoPoll {
    /// What the file is ready for.
    fn into_poll(self) -> Result<Poll>;
}

#[diagnostic::do_not_recommend]
impl IntoPoll for Poll {
    fn into_poll(self) -> Result<Poll> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoPoll for PollEvents {
    fn into_poll(self) -> Result<Poll> {
        Ok(Poll(self))
    }
}

/// Answers `lseek`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to `lseek`",
    label = "this is no place in a file",
    note = "accepted: `u64`, `i64`, `Offset`"
)]
pub trait IntoOffset {
    /// Where the file is positioned.
    fn into_offset(self) -> Result<Offset>;
}

#[diagnostic::do_not_recommend]
impl IntoOffset for Offset {
    fn into_offset(self) -> Result<Offset> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoOffset for i64 {
    fn into_offset(self) -> Result<Offset> {
        Ok(Offset(self))
    }
}

#[diagnostic::do_not_recommend]
impl IntoOffset for u64 {
    fn into_offset(self) -> Result<Offset> {
        i64::try_from(self).map(Offset).map_err(|_| Errno::EOVERFLOW)
    }
}

/// Answers `getxtimes` (macOS).
#[cfg(target_os = "macos")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to `getxtimes`",
    label = "these are not the two times",
    note = "accepted: `XTimes`"
)]
pub trait IntoXTimes {
    /// The times.
    fn into_xtimes(self) -> Result<XTimes>;
}

#[cfg(target_os = "macos")]
#[diagnostic::do_not_recommend]
impl IntoXTimes for XTimes {
    fn into_xtimes(self) -> Result<XTimes> {
        Ok(self)
    }
}
