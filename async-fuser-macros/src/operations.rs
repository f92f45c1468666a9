//! The operations by name: what `async_fuser::op` has, as far as a macro needs to know it.
//!
//! A macro sees tokens alone, so to tell a misspelt method or parameter it needs this list. A test
//! of the runtime compares it with the table of operations.

use proc_macro2::TokenStream;
use quote::quote;

/// An operation that a method of a block may answer.
#[derive(Debug)]
pub(crate) struct Operation {
    /// The method's name.
    pub(crate) method: &'static str,
    /// The struct's fields, but for `req`.
    pub(crate) fields: &'static [&'static str],
    pub(crate) answer: Answer,
}

/// What an operation is answered with, and so how a result is converted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// There is none: the method returns `()`.
    Nothing,
    Empty,
    Lookup,
    Entry,
    Attr,
    Statx,
    Target,
    Data,
    Opened,
    Created,
    Written,
    Listing,
    ListingPlus,
    Statfs,
    Value,
    Names,
    Lock,
    Block,
    Ioctl,
    Poll,
    Offset,
    XTimes,
    /// Of `init`: the session begins, or does not.
    Init,
}

macro_rules! operations {
    ($($method:ident($($field:ident),*) -> $answer:ident;)*) => {
        /// All of them, in the order of the runtime's table, and the two that are none.
        const OPERATIONS: &[Operation] = &[$(Operation {
            method: stringify!($method),
            fields: &[$(stringify!($field)),*],
            answer: Answer::$answer,
        },)*];
    };
}

operations! {
    init(config) -> Init;
    destroy() -> Nothing;
    lookup(parent, name) -> Lookup;
    forget(ino, nlookup) -> Nothing;
    batch_forget(nodes) -> Nothing;
    getattr(ino, fh) -> Attr;
    setattr(ino, mode, uid, gid, size, atime, mtime, ctime, fh, crtime, chgtime, bkuptime, flags,
        kill_suid_gid) -> Attr;
    statx(ino, fh, flags, mask) -> Statx;
    readlink(ino) -> Target;
    mknod(parent, name, mode, umask, rdev) -> Entry;
    mkdir(parent, name, mode, umask) -> Entry;
    unlink(parent, name) -> Empty;
    rmdir(parent, name) -> Empty;
    symlink(parent, link_name, target) -> Entry;
    rename(parent, name, newparent, newname, flags) -> Empty;
    link(ino, newparent, newname) -> Entry;
    open(ino, flags, kill_suid_gid) -> Opened;
    read(ino, fh, offset, size, flags, lock_owner) -> Data;
    write(ino, fh, offset, data, write_flags, flags, lock_owner) -> Written;
    flush(ino, fh, lock_owner) -> Empty;
    release(ino, fh, flags, lock_owner, flush) -> Empty;
    fsync(ino, fh, datasync) -> Empty;
    opendir(ino, flags) -> Opened;
    readdir(ino, fh, offset, size) -> Listing;
    readdirplus(ino, fh, offset, size) -> ListingPlus;
    releasedir(ino, fh, flags) -> Empty;
    fsyncdir(ino, fh, datasync) -> Empty;
    statfs(ino) -> Statfs;
    setxattr(ino, name, value, flags, position, acl_kill_sgid) -> Empty;
    getxattr(ino, name, size) -> Value;
    listxattr(ino, size) -> Names;
    removexattr(ino, name) -> Empty;
    access(ino, mask) -> Empty;
    create(parent, name, mode, umask, flags, kill_suid_gid) -> Created;
    tmpfile(parent, mode, umask, flags) -> Created;
    getlk(ino, fh, lock_owner, start, end, typ, pid) -> Lock;
    setlk(ino, fh, lock_owner, start, end, typ, pid, sleep, flock) -> Empty;
    bmap(ino, blocksize, idx) -> Block;
    ioctl(ino, fh, flags, cmd, in_data, out_size) -> Ioctl;
    poll(ino, fh, kh, events, flags) -> Poll;
    fallocate(ino, fh, offset, length, mode) -> Empty;
    lseek(ino, fh, offset, whence) -> Offset;
    copy_file_range(ino_in, fh_in, offset_in, ino_out, fh_out, offset_out, len, flags) -> Written;
    syncfs(ino) -> Empty;
    setvolname(name) -> Empty;
    getxtimes(ino) -> XTimes;
    exchange(parent, name, newparent, newname, options) -> Empty;
}

impl Operation {
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        OPERATIONS.iter()
    }

    pub(crate) fn named(method: &str) -> Option<&'static Self> {
        Self::all().find(|operation| operation.method == method)
    }

    /// Whether the kernel asks for it; `init` and `destroy` are the session's.
    pub(crate) fn is_asked(&self) -> bool {
        !self.is_exclusive()
    }

    /// Whether it is called while no other method runs, and so may have `&mut self`.
    pub(crate) fn is_exclusive(&self) -> bool {
        matches!(self.method, "init" | "destroy")
    }

    /// Whether only macOS has it.
    pub(crate) fn is_macos(&self) -> bool {
        matches!(self.method, "setvolname" | "getxtimes" | "exchange")
    }

    /// The name of its struct.
    pub(crate) fn type_name(&self) -> String {
        let mut name = String::new();
        for word in self.method.split('_') {
            let (first, rest) = word.split_at(1);
            name.push_str(&first.to_uppercase());
            name.push_str(rest);
        }
        name
    }

    /// The names that a parameter of it may have.
    pub(crate) fn parameters(&self) -> Vec<&'static str> {
        let mut names = self.fields.to_vec();
        let more: &[_] = match self.method {
            "destroy" => &[],
            "init" => &["req", "caller", "notifier"],
            "read" => &["buf", "req", "op", "caller", "cancellation", "notifier"],
            "readdir" | "readdirplus" => {
                &["listing", "req", "op", "caller", "cancellation", "notifier"]
            }
            _ => &["req", "op", "caller", "cancellation", "notifier"],
        };
        names.extend(more);
        names
    }
}

impl Answer {
    /// The function that converts a result into it.
    pub(crate) fn function(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Empty => "empty",
            Self::Lookup => "lookup",
            Self::Entry => "entry",
            Self::Attr => "attr",
            Self::Statx => "statx",
            Self::Target => "target",
            Self::Data => "data",
            Self::Opened => "opened",
            Self::Created => "created",
            Self::Written => "written",
            Self::Listing | Self::ListingPlus => "listing",
            Self::Statfs => "statfs",
            Self::Value => "value",
            Self::Names => "names",
            Self::Lock => "lock",
            Self::Block => "block",
            Self::Ioctl => "ioctl",
            Self::Poll => "poll",
            Self::Offset => "offset",
            Self::XTimes => "xtimes",
            Self::Init => "init",
        }
    }

    /// Whether it takes the times that a result need not say itself.
    pub(crate) fn has_ttl(self) -> bool {
        matches!(self, Self::Lookup | Self::Entry | Self::Attr | Self::Statx | Self::Created)
    }
}

/// The list as tokens, with what converts the answer:
/// `&[("lookup", "Lookup", &["parent", "name"], "lookup"), ...]`.
pub(crate) fn listing() -> TokenStream {
    let rows = Operation::all().filter(|operation| operation.is_asked()).map(|operation| {
        let Operation { method, fields, answer } = operation;
        let (name, conversion) = (operation.type_name(), answer.function());
        quote!((#method, #name, &[#(#fields),*], #conversion))
    });
    quote!(&[#(#rows),*])
}
