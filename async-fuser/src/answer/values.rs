use std::time::Duration;

use super::Data;
use crate::abi::{fuse_entry_out, fuse_statfs_out};
use crate::types::{FileAttr, FileHandle, FopenFlags, Generation, PollEvents, StatxAttr};

/// A directory entry: answers `lookup` and whatever makes one.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use async_fuser::lib_async::Entry;
///
/// // There is no such name, and the kernel may say so by itself for a second.
/// let none = Entry::negative(Duration::from_secs(1));
/// assert!(none.attr().is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    attr: Option<FileAttr>,
    entry_ttl: Duration,
    attr_ttl: Duration,
    generation: Generation,
}

impl Entry {
    /// This file: the kernel may use both the name and the attributes for `ttl` without asking
    /// again, and counts one lookup of the inode.
    pub fn new(attr: FileAttr, ttl: Duration) -> Self {
        Self { attr: Some(attr), entry_ttl: ttl, attr_ttl: ttl, generation: Generation(0) }
    }

    /// There is no such entry, and the kernel may say so by itself for `ttl`.
    ///
    /// Only for `lookup`. `ENOENT` says the same, and is asked again each time.
    pub fn negative(ttl: Duration) -> Self {
        Self { attr: None, entry_ttl: ttl, attr_ttl: ttl, generation: Generation(0) }
    }

    /// With a time of its own for the name.
    #[must_use]
    pub fn with_entry_ttl(self, entry_ttl: Duration) -> Self {
        Self { entry_ttl, ..self }
    }

    /// With a time of its own for the attributes.
    #[must_use]
    pub fn with_attr_ttl(self, attr_ttl: Duration) -> Self {
        Self { attr_ttl, ..self }
    }

    /// With a generation, which a filesystem that is exported over NFS needs.
    #[must_use]
    pub fn with_generation(self, generation: Generation) -> Self {
        Self { generation, ..self }
    }

    /// The file's attributes; `None` if there is no such entry.
    pub fn attr(&self) -> Option<&FileAttr> {
        self.attr.as_ref()
    }

    pub(crate) fn body(&self) -> fuse_entry_out {
        match &self.attr {
            Some(attr) => super::entry(&self.entry_ttl, &self.attr_ttl, attr, self.generation),
            None => super::negative_entry(&self.entry_ttl),
        }
    }
}

/// Attributes: answers `getattr` and `setattr`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attr {
    pub(crate) attr: FileAttr,
    pub(crate) ttl: Duration,
}

impl Attr {
    /// These attributes: the kernel may use them for `ttl` without asking again.
    pub fn new(attr: FileAttr, ttl: Duration) -> Self {
        Self { attr, ttl }
    }
}

/// Answers `statx`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statx {
    pub(crate) statx: StatxAttr,
    pub(crate) ttl: Duration,
}

impl Statx {
    /// These attributes: the kernel may use them for `ttl` without asking again.
    pub fn new(statx: impl Into<StatxAttr>, ttl: Duration) -> Self {
        Self { statx: statx.into(), ttl }
    }
}

/// An open file or directory: answers `open` and `opendir`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opened {
    pub(crate) fh: FileHandle,
    pub(crate) flags: FopenFlags,
    pub(crate) backing: Option<u32>,
}

impl Opened {
    /// It is open: later operations name it by `fh`.
    pub fn new(fh: FileHandle) -> Self {
        Self { fh, flags: FopenFlags::empty(), backing: None }
    }

    /// How the kernel treats the open file.
    #[must_use]
    pub fn with_flags(self, flags: FopenFlags) -> Self {
        Self { flags, ..self }
    }
}

/// A new file that is open: answers `create` and `tmpfile`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Created {
    pub(crate) attr: FileAttr,
    pub(crate) entry_ttl: Duration,
    pub(crate) attr_ttl: Duration,
    pub(crate) generation: Generation,
    pub(crate) opened: Opened,
}

impl Created {
    /// This file was created and is open; for `ttl` see [`Entry::new`].
    pub fn new(attr: FileAttr, ttl: Duration, opened: Opened) -> Self {
        Self { attr, entry_ttl: ttl, attr_ttl: ttl, generation: Generation(0), opened }
    }

    /// With a time of its own for the name.
    #[must_use]
    pub fn with_entry_ttl(self, entry_ttl: Duration) -> Self {
        Self { entry_ttl, ..self }
    }

    /// With a time of its own for the attributes.
    #[must_use]
    pub fn with_attr_ttl(self, attr_ttl: Duration) -> Self {
        Self { attr_ttl, ..self }
    }

    /// With a generation, which a filesystem that is exported over NFS needs.
    #[must_use]
    pub fn with_generation(self, generation: Generation) -> Self {
        Self { generation, ..self }
    }
}

/// How many bytes were written or copied: answers `write` and `copy_file_range`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Written(pub u64);

/// The filesystem's sizes: answers `statfs`. Sizes are in blocks of `frsize` bytes, of `bsize`
/// where that is 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Statfs {
    /// All blocks.
    pub blocks: u64,
    /// Free blocks.
    pub bfree: u64,
    /// Free blocks that an ordinary user may take.
    pub bavail: u64,
    /// All inodes.
    pub files: u64,
    /// Free inodes.
    pub ffree: u64,
    /// How many bytes are good to read or write at once.
    pub bsize: u32,
    /// How many bytes a name may have.
    pub namelen: u32,
    /// The size of a block in bytes.
    pub frsize: u32,
}

/// Nothing is known but that names have at most 255 bytes.
impl Default for Statfs {
    fn default() -> Self {
        Self {
            blocks: 0,
            bfree: 0,
            bavail: 0,
            files: 0,
            ffree: 0,
            bsize: 512,
            namelen: 255,
            frsize: 0,
        }
    }
}

impl Statfs {
    pub(crate) fn body(&self) -> fuse_statfs_out {
        let Self { blocks, bfree, bavail, files, ffree, bsize, namelen, frsize } = *self;
        super::statfs(blocks, bfree, bavail, files, ffree, bsize, namelen, frsize)
    }
}

/// A value or a list of names: answers `getxattr` and `listxattr`.
///
/// A caller with no room asks how large it is, and gets that; one with too little gets `ERANGE`.
#[derive(Debug)]
pub struct Xattr<'a>(pub(crate) XattrKind<'a>);

#[derive(Debug)]
pub(crate) enum XattrKind<'a> {
    Value(Data<'a>),
    Size(u32),
}

impl<'a> Xattr<'a> {
    /// The value, or the names with a zero after each.
    pub fn new(value: impl Into<Data<'a>>) -> Self {
        Self(XattrKind::Value(value.into()))
    }

    /// How large it is, for a caller who asks for just that ([`size`](crate::op::Getxattr::size)
    /// is 0). To any other it is an `EIO`.
    pub fn size(size: u32) -> Self {
        Self(XattrKind::Size(size))
    }
}

/// The lock that stands in the way: answers `getlk`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lock {
    /// The range's first byte.
    pub start: u64,
    /// The range's last byte.
    pub end: u64,
    /// `F_RDLCK` or `F_WRLCK`; `F_UNLCK` if no lock stands in the way.
    pub typ: i32,
    /// Whose lock it is.
    pub pid: u32,
}

/// A block on the device: answers `bmap`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Block(pub u64);

/// What `ioctl(2)` returns, and the data it passes out: answers `ioctl`.
#[derive(Debug)]
pub struct Ioctl<'a> {
    pub(crate) result: i32,
    pub(crate) data: Data<'a>,
}

impl<'a> Ioctl<'a> {
    /// It returns `result`, and passes nothing out.
    pub fn new(result: i32) -> Self {
        Self { result, data: Data::default() }
    }

    /// With data, at most as much as [`out_size`](crate::op::Ioctl::out_size).
    #[must_use]
    pub fn with_data(self, data: impl Into<Data<'a>>) -> Self {
        Self { data: data.into(), ..self }
    }
}

/// What a file is ready for: answers `poll`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Poll(pub PollEvents);

/// Where a file is positioned: answers `lseek`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offset(pub i64);

/// Answers `getxtimes` (macOS).
#[cfg(target_os = "macos")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct XTimes {
    /// When the file was backed up.
    pub bkuptime: std::time::SystemTime,
    /// When the file was made.
    pub crtime: std::time::SystemTime,
}
