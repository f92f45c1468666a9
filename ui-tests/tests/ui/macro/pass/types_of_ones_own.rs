//! Parameters, answers and errors of the program's own types.

use std::ffi::OsStr;
use std::fmt;

use async_fuser::convert::{FromField, FromRequest, IntoDirEntry, IntoEntry, Ttl};
use async_fuser::lib_async::{Data, Entry};
use async_fuser::{
    DirEntry, Errno, FileAttr, FileHandle, FileType, INodeNo, Request, fuse_filesystem,
};

/// A name that is lower case.
struct Lower<'a>(&'a str);

impl<'a> FromField<&'a OsStr> for Lower<'a> {
    fn from_field(name: &'a OsStr) -> Result<Self, Errno> {
        let name = name.to_str().ok_or(Errno::EILSEQ)?;
        if name.chars().any(char::is_uppercase) { Err(Errno::EINVAL) } else { Ok(Self(name)) }
    }
}

#[derive(Clone, Copy)]
struct Slot(u32);

impl FromField<FileHandle> for Slot {
    fn from_field(fh: FileHandle) -> Result<Self, Errno> {
        u32::try_from(fh.0).map(Self).map_err(|_| Errno::EBADF)
    }
}

struct Admin;

impl FromRequest<'_> for Admin {
    fn from_request(req: &Request) -> Result<Self, Errno> {
        if req.uid() == 0 { Ok(Self) } else { Err(Errno::EPERM) }
    }
}

struct Node(FileAttr);

impl IntoEntry for Node {
    fn into_entry(self, ttl: &Ttl) -> Result<Entry, Errno> {
        self.0.into_entry(ttl)
    }
}

impl IntoDirEntry for Node {
    fn into_dir_entry(self) -> Result<DirEntry, Errno> {
        Ok(DirEntry::new(self.0.ino, self.0.kind, "node"))
    }
}

struct Text(String);

impl From<Text> for Data<'_> {
    fn from(text: Text) -> Self {
        text.0.into()
    }
}

#[derive(Debug)]
enum Broken {
    Gone,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gone")
    }
}

impl From<Broken> for Errno {
    fn from(_: Broken) -> Self {
        Errno::ESTALE
    }
}

struct Files;

#[fuse_filesystem]
impl Files {
    async fn lookup(&self, name: Lower<'_>) -> Result<Option<Node>, Broken> {
        if name.0.is_empty() { Err(Broken::Gone) } else { Ok(None) }
    }

    async fn read(&self, fh: Slot, offset: u64, size: u32) -> Result<Text, Broken> {
        let _ = (offset, size);
        Ok(Text(fh.0.to_string()))
    }

    async fn readdir(&self) -> Result<Vec<Result<Node, Broken>>, Broken> {
        Ok(Vec::new())
    }

    async fn symlink(&self, caller: Admin) -> Result<Node, Errno> {
        let _ = caller;
        Err(Errno::EPERM)
    }

    async fn opendir(&self, #[fuse(field = caller)] _who: Admin) -> Result<(), Errno> {
        Ok(())
    }
}

fn main() {
    let _ = (INodeNo::ROOT, FileType::Socket, Slot(0));
}
