//! Numbers the kernel and the filesystem know things by.

use std::fmt::{self, Debug, Display, Formatter};

#[cfg(feature = "serializable")]
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::abi::fuse_forget_one;

/// The number of an inode, chosen by the filesystem.
///
/// The kernel learns it from the answer to a lookup (or to whatever else makes an entry) and asks
/// for the inode by it from then on. It counts the answers that named the inode and gives the count
/// back with a forget; until the two are even the number must keep its meaning. Zero is no inode:
/// as the answer to a lookup it says that the name does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serializable", derive(Serialize, Deserialize))]
pub struct INodeNo(pub u64);

impl INodeNo {
    /// The directory that is mounted. The kernel knows it from the start and never looks it up.
    pub const ROOT: Self = Self(1);
}

impl Display for INodeNo {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl From<INodeNo> for u64 {
    fn from(ino: INodeNo) -> Self {
        ino.0
    }
}

/// What the filesystem calls an open file or directory.
///
/// Any number will do: the kernel keeps the one that answered the open, and sends it along with
/// every request made through that open file, up to and including its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serializable", derive(Serialize, Deserialize))]
pub struct FileHandle(pub u64);

impl Display for FileHandle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl From<FileHandle> for u64 {
    fn from(fh: FileHandle) -> Self {
        fh.0
    }
}

/// Whoever holds a file lock, as a number that only serves for comparison.
///
/// The kernel scrambles an address into it. Locks of one owner never conflict with each other, and
/// the POSIX locks of an owner end when it closes the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serializable", derive(Serialize, Deserialize))]
pub struct LockOwner(pub u64);

impl Display for LockOwner {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

/// Which of the files that had an inode number over time is meant.
///
/// The kernel puts it into NFS file handles, which outlive a mount. A filesystem that is exported
/// changes it whenever an inode number comes to mean another file; others may leave it at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl From<Generation> for u64 {
    fn from(generation: Generation) -> Self {
        generation.0
    }
}

/// The number of a request.
///
/// No two requests that wait for an answer at the same time share one. The kernel finds the waiting
/// caller by it when the answer comes, and names the request by it when the caller is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serializable", derive(Serialize, Deserialize))]
pub struct RequestId(pub u64);

impl From<RequestId> for u64 {
    fn from(unique: RequestId) -> Self {
        unique.0
    }
}

/// An open file that somebody polls.
///
/// The filesystem keeps it and hands it to the notifier once the file is ready; the kernel then
/// wakes those who wait and polls again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PollHandle(pub u64);

/// A version of the FUSE protocol: major, minor.
///
/// The kernel opens the conversation with its own; the major number has been 7 all along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serializable", derive(Serialize, Deserialize))]
pub struct Version(pub u32, pub u32);

impl Display for Version {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// One inode of a batch that the kernel forgets.
///
/// Each is what a forget of its own would have said. The kernel waits for no answer.
// Invariant of the layout: exactly the kernel's struct, so that a batch is read where it lies.
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct ForgetOne(fuse_forget_one);

impl ForgetOne {
    /// Forget `nlookup` lookups of the inode `nodeid`.
    pub fn new(nodeid: INodeNo, nlookup: u64) -> Self {
        Self(fuse_forget_one { nodeid: nodeid.0, nlookup })
    }

    /// The inode that is forgotten.
    pub fn nodeid(&self) -> INodeNo {
        INodeNo(self.0.nodeid)
    }

    /// How many lookups the kernel gives back.
    pub fn nlookup(&self) -> u64 {
        self.0.nlookup
    }
}

impl Debug for ForgetOne {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForgetOne")
            .field("nodeid", &self.nodeid())
            .field("nlookup", &self.nlookup())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    #[test]
    fn ids_print_as_their_number_and_versions_with_a_dot() {
        assert_eq!(INodeNo(42).to_string(), "42");
        assert_eq!(format!("{:>4}", FileHandle(7)), "   7");
        assert_eq!(LockOwner(u64::MAX).to_string(), "18446744073709551615");
        assert_eq!(Version(7, 45).to_string(), "7.45");
        assert_eq!(format!("{:?}", INodeNo::ROOT), "INodeNo(1)");
    }

    #[test]
    fn ids_become_their_number() {
        assert_eq!(u64::from(INodeNo(1)), 1);
        assert_eq!(u64::from(FileHandle(2)), 2);
        assert_eq!(u64::from(Generation(3)), 3);
        assert_eq!(u64::from(RequestId(4)), 4);
    }

    #[test]
    fn versions_are_ordered_by_major_then_minor() {
        assert!(Version(7, 9) < Version(7, 31));
        assert!(Version(7, 45) < Version(8, 0));
    }

    #[test]
    fn a_batch_is_read_where_it_lies() {
        // Two inodes and the beginning of a third.
        let words = [5u64, 1, 6, u64::MAX, 7];
        let (batch, rest) = <[ForgetOne]>::ref_from_prefix_with_elems(words.as_bytes(), 2).unwrap();
        assert_eq!(batch.as_ptr().cast(), words.as_ptr());
        assert_eq!((batch[0].nodeid(), batch[0].nlookup()), (INodeNo(5), 1));
        assert_eq!((batch[1].nodeid(), batch[1].nlookup()), (INodeNo(6), u64::MAX));
        assert_eq!(rest, 7u64.as_bytes());
        assert!(<[ForgetOne]>::ref_from_prefix_with_elems(words.as_bytes(), 3).is_err());
    }

    #[test]
    fn a_forget_that_is_made_says_what_it_was_made_of() {
        let one = ForgetOne::new(INodeNo(9), 3);
        assert_eq!((one.nodeid(), one.nlookup()), (INodeNo(9), 3));
        assert_eq!(format!("{one:?}"), "ForgetOne { nodeid: INodeNo(9), nlookup: 3 }");
    }

    #[cfg(feature = "serializable")]
    #[test]
    fn ids_survive_being_serialized() {
        let text = serde_json::to_string(&(INodeNo(1), FileHandle(2), LockOwner(3), RequestId(4)));
        assert_eq!(text.unwrap(), "[1,2,3,4]");
        let version: Version = serde_json::from_str("[7,45]").unwrap();
        assert_eq!(version, Version(7, 45));
    }
}
