//! Who asks: the header of a request, read in place.

use std::fmt::{self, Debug, Formatter};

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::{INodeNo, Owner, RequestId};
use crate::abi::{FUSE_INVALID_UIDGID, FUSE_UNIQUE_RESEND, fuse_in_header};

/// A request of the kernel: its number, and on whose behalf it is made.
///
/// The ids are those of the calling thread at the time of the call, as the mount's own namespaces
/// show them. What the kernel does by itself, such as writing back cached pages, has no caller: the
/// pid is then 0 and the ids need not be those of whoever wrote.
// Invariant of the layout: exactly the kernel's header, so that it is read where it lies.
#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Request {
    header: fuse_in_header,
}

impl Request {
    /// The header at the beginning of `bytes` and what follows it; `None` if `bytes` are too few or
    /// not aligned as a `u64` is.
    pub(crate) fn split(bytes: &[u8]) -> Option<(&Self, &[u8])> {
        Self::ref_from_prefix(bytes).ok()
    }

    /// The number of this request.
    ///
    /// It is passed on whole: the kernel expects the mark of a resent request back in the answer.
    #[inline]
    pub fn unique(&self) -> RequestId {
        RequestId(self.header.unique)
    }

    /// The user id of the caller, by which it accesses files.
    ///
    /// It is `u32::MAX` where the kernel withholds it; [`owner`](Self::owner) says so in its type.
    #[inline]
    pub fn uid(&self) -> u32 {
        self.header.uid
    }

    /// The group id of the caller, by which it accesses files.
    ///
    /// It is `u32::MAX` where the kernel withholds it; [`owner`](Self::owner) says so in its type.
    #[inline]
    pub fn gid(&self) -> u32 {
        self.header.gid
    }

    /// The thread that calls, or 0 if there is none or if it is not visible from the pid namespace
    /// the filesystem was mounted in.
    #[inline]
    pub fn pid(&self) -> u32 {
        self.header.pid
    }

    /// The user and the group of the caller, unless the kernel withholds them.
    ///
    /// On an idmapped mount the kernel gives them only where a new inode needs an owner, already
    /// mapped, and checks permissions by itself.
    pub fn owner(&self) -> Option<Owner> {
        let Self { header: fuse_in_header { uid, gid, .. } } = *self;
        (uid != FUSE_INVALID_UIDGID && gid != FUSE_INVALID_UIDGID).then_some(Owner { uid, gid })
    }

    /// Whether the kernel has sent this request before and been told to send it again.
    ///
    /// That happens only when a filesystem that took over a connection asks for the requests left
    /// unanswered: part of the work may have been done already.
    pub fn is_resent(&self) -> bool {
        self.header.unique & FUSE_UNIQUE_RESEND != 0
    }

    /// How long the request claims to be, header included.
    pub(crate) fn len(&self) -> u32 {
        self.header.len
    }

    /// What is asked, by the kernel's number.
    pub(crate) fn opcode(&self) -> u32 {
        self.header.opcode
    }

    /// The inode that is asked about, 0 if the operation has none.
    pub(crate) fn node(&self) -> INodeNo {
        INodeNo(self.header.nodeid)
    }
}

impl Debug for Request {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("unique", &self.header.unique)
            .field("opcode", &self.opcode())
            .field("node", &self.header.nodeid)
            .field("uid", &self.uid())
            .field("gid", &self.gid())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    #[test]
    fn a_header_is_read_where_it_lies() {
        let words = words(0x1234, 1000, 100);
        let bytes = words.as_bytes();
        let (request, rest) = Request::split(bytes).unwrap();
        assert_eq!(std::ptr::from_ref(request).cast(), bytes.as_ptr());
        assert_eq!(rest, &bytes[40..]);
        assert_eq!((request.len(), request.opcode()), (48, 3));
        assert_eq!((request.unique(), request.node()), (RequestId(0x1234), INodeNo(2)));
        assert_eq!((request.uid(), request.gid(), request.pid()), (1000, 100, 77));
        assert_eq!(
            format!("{request:?}"),
            "Request { unique: 4660, opcode: 3, node: 2, uid: 1000, gid: 100, pid: 77, .. }"
        );
    }

    #[test]
    fn a_short_or_crooked_header_is_none() {
        let words = words(1, 0, 0);
        let bytes = words.as_bytes();
        assert!(Request::split(&[]).is_none());
        assert!(Request::split(&bytes[..39]).is_none());
        assert!(Request::split(&bytes[..40]).is_some_and(|(_, rest)| rest.is_empty()));
        assert!(Request::split(&bytes[1..41]).is_none());
    }

    #[test]
    fn an_owner_needs_both_ids() {
        let owner = |uid, gid| Request::split(words(1, uid, gid).as_bytes()).unwrap().0.owner();
        assert_eq!(owner(0, 0), Some(Owner { uid: 0, gid: 0 }));
        assert_eq!(owner(1000, 100), Some(Owner { uid: 1000, gid: 100 }));
        assert_eq!(owner(u32::MAX, 100), None);
        assert_eq!(owner(1000, u32::MAX), None);
    }

    #[test]
    fn a_resent_request_keeps_its_mark() {
        let sent = words(6, 0, 0);
        let resent = words(6 | 1 << 63, 0, 0);
        let (sent, _) = Request::split(sent.as_bytes()).unwrap();
        let (resent, _) = Request::split(resent.as_bytes()).unwrap();
        assert!(!sent.is_resent());
        assert!(resent.is_resent());
        assert_eq!(resent.unique(), RequestId(6 | 1 << 63));
    }

    /// A GETATTR for inode 2 of 48 bytes, the last 8 of them an extension.
    fn words(unique: u64, uid: u32, gid: u32) -> [u64; 6] {
        let pair = |low: u32, high: u32| {
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&low.to_ne_bytes());
            bytes[4..].copy_from_slice(&high.to_ne_bytes());
            u64::from_ne_bytes(bytes)
        };
        let mut tail = [0; 8];
        tail[..4].copy_from_slice(&77u32.to_ne_bytes());
        tail[4..6].copy_from_slice(&1u16.to_ne_bytes());
        [pair(48, 3), unique, 2, pair(uid, gid), u64::from_ne_bytes(tail), 0]
    }
}
