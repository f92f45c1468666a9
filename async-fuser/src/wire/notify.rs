//! Messages the filesystem sends on its own: what the kernel shall forget, fetch or wake.

use std::borrow::Cow;

use zerocopy::IntoBytes;

use crate::abi::{
    FUSE_EXPIRE_ONLY, FUSE_NAME_MAX, FUSE_NOTIFY_DELETE, FUSE_NOTIFY_INC_EPOCH,
    FUSE_NOTIFY_INVAL_ENTRY, FUSE_NOTIFY_INVAL_INODE, FUSE_NOTIFY_POLL, FUSE_NOTIFY_PRUNE,
    FUSE_NOTIFY_RESEND, FUSE_NOTIFY_RETRIEVE, FUSE_NOTIFY_STORE, fuse_notify_delete_out,
    fuse_notify_inval_entry_out, fuse_notify_inval_inode_out, fuse_notify_poll_wakeup_out,
    fuse_notify_prune_out, fuse_notify_retrieve_out, fuse_notify_store_out, fuse_out_header,
};
use crate::types::{Errno, INodeNo, PollHandle};

/// The body of a notification.
///
/// ```text
/// [ fixed struct ] [ name, data or node ids ] [ NUL behind a name ]
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Notification<'a> {
    fixed: Fixed,
    rest: Cow<'a, [u8]>,
    end: &'static [u8],
}

impl<'a> Notification<'a> {
    /// A file that was polled has become ready. The kernel polls it again.
    pub(crate) fn poll(handle: PollHandle) -> Self {
        Self::bare(Fixed::Poll(fuse_notify_poll_wakeup_out { kh: handle.0 }))
    }

    /// The kernel forgets an inode's attributes and `len` bytes of its data from `offset` on: all
    /// the rest if `len` is 0 or less, none if `offset` is negative.
    pub(crate) fn inval_inode(ino: INodeNo, offset: i64, len: i64) -> Self {
        Self::bare(Fixed::InvalInode(fuse_notify_inval_inode_out { ino: ino.0, off: offset, len }))
    }

    /// The kernel forgets a name, or takes it for expired and looks it up at the next use.
    pub(crate) fn inval_entry(
        parent: INodeNo,
        name: &'a [u8],
        expire_only: bool,
    ) -> Result<Self, Errno> {
        let fixed = Fixed::InvalEntry(fuse_notify_inval_entry_out {
            parent: parent.0,
            namelen: name_len(name)?,
            flags: if expire_only { FUSE_EXPIRE_ONLY } else { 0 },
        });
        Ok(Self::named(fixed, name))
    }

    /// The kernel forgets a name because its file is gone, and tells those who watch it.
    pub(crate) fn delete(parent: INodeNo, child: INodeNo, name: &'a [u8]) -> Result<Self, Errno> {
        let fixed = Fixed::Delete(fuse_notify_delete_out {
            parent: parent.0,
            child: child.0,
            namelen: name_len(name)?,
            padding: 0,
        });
        Ok(Self::named(fixed, name))
    }

    /// The kernel puts data into its page cache.
    pub(crate) fn store(ino: INodeNo, offset: u64, data: &'a [u8]) -> Result<Self, Errno> {
        let fixed = Fixed::Store(fuse_notify_store_out {
            nodeid: ino.0,
            offset,
            size: fitting(data.len(), size_of::<fuse_notify_store_out>())?,
            padding: 0,
        });
        Ok(Self { fixed, rest: Cow::Borrowed(data), end: &[] })
    }

    /// The kernel sends back what its page cache has, as a NOTIFY_REPLY with this `unique`.
    pub(crate) fn retrieve(notify_unique: u64, ino: INodeNo, offset: u64, size: u32) -> Self {
        Self::bare(Fixed::Retrieve(fuse_notify_retrieve_out {
            notify_unique,
            nodeid: ino.0,
            offset,
            size,
            padding: 0,
        }))
    }

    /// The kernel sends again every request that was read and not answered.
    pub(crate) fn resend() -> Self {
        Self::bare(Fixed::Resend)
    }

    /// The kernel takes every name of the mount for expired.
    pub(crate) fn inc_epoch() -> Self {
        Self::bare(Fixed::IncEpoch)
    }

    /// The kernel drops what nobody uses of these inodes, so that it forgets them.
    pub(crate) fn prune(inodes: &[INodeNo]) -> Result<Self, Errno> {
        let len = inodes.len().checked_mul(size_of::<u64>()).ok_or(Errno::EOVERFLOW)?;
        fitting(len, size_of::<fuse_notify_prune_out>())?;
        let count = u32::try_from(inodes.len()).map_err(|_| Errno::EOVERFLOW)?;
        let ids: Vec<u8> = inodes.iter().flat_map(|ino| ino.0.to_ne_bytes()).collect();
        let fixed = Fixed::Prune(fuse_notify_prune_out { count, padding: 0, spare: 0 });
        Ok(Self { fixed, rest: Cow::Owned(ids), end: &[] })
    }

    /// What stands in the header's error field.
    pub(crate) fn code(&self) -> i32 {
        match self.fixed {
            Fixed::Poll(_) => FUSE_NOTIFY_POLL,
            Fixed::InvalInode(_) => FUSE_NOTIFY_INVAL_INODE,
            Fixed::InvalEntry(_) => FUSE_NOTIFY_INVAL_ENTRY,
            Fixed::Store(_) => FUSE_NOTIFY_STORE,
            Fixed::Retrieve(_) => FUSE_NOTIFY_RETRIEVE,
            Fixed::Delete(_) => FUSE_NOTIFY_DELETE,
            Fixed::Resend => FUSE_NOTIFY_RESEND,
            Fixed::IncEpoch => FUSE_NOTIFY_INC_EPOCH,
            Fixed::Prune(_) => FUSE_NOTIFY_PRUNE,
        }
    }

    /// What follows the header.
    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        let fixed = match &self.fixed {
            Fixed::Poll(fixed) => fixed.as_bytes(),
            Fixed::InvalInode(fixed) => fixed.as_bytes(),
            Fixed::InvalEntry(fixed) => fixed.as_bytes(),
            Fixed::Store(fixed) => fixed.as_bytes(),
            Fixed::Retrieve(fixed) => fixed.as_bytes(),
            Fixed::Delete(fixed) => fixed.as_bytes(),
            Fixed::Prune(fixed) => fixed.as_bytes(),
            Fixed::Resend | Fixed::IncEpoch => &[],
        };
        [fixed, &self.rest, self.end]
    }

    fn bare(fixed: Fixed) -> Self {
        Self { fixed, rest: Cow::Borrowed(&[]), end: &[] }
    }

    fn named(fixed: Fixed, name: &'a [u8]) -> Self {
        Self { fixed, rest: Cow::Borrowed(name), end: &[0] }
    }
}

#[derive(Clone, Copy, Debug)]
enum Fixed {
    Poll(fuse_notify_poll_wakeup_out),
    InvalInode(fuse_notify_inval_inode_out),
    InvalEntry(fuse_notify_inval_entry_out),
    Store(fuse_notify_store_out),
    Retrieve(fuse_notify_retrieve_out),
    Delete(fuse_notify_delete_out),
    Resend,
    IncEpoch,
    Prune(fuse_notify_prune_out),
}

/// The length of a name that the kernel can take. Which names exist is the kernel's affair; where
/// its own limit is lower, it answers ENAMETOOLONG itself.
fn name_len(name: &[u8]) -> Result<u32, Errno> {
    if name.contains(&0) {
        return Err(Errno::EINVAL);
    }
    if name.len() > FUSE_NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    Ok(name.len() as u32)
}

/// The length of what follows the fixed struct, if the header can express the whole message's.
fn fitting(len: usize, fixed: usize) -> Result<u32, Errno> {
    len.checked_add(size_of::<fuse_out_header>() + fixed)
        .and_then(|whole| u32::try_from(whole).ok())
        .and_then(|_| u32::try_from(len).ok())
        .ok_or(Errno::EOVERFLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INO: INodeNo = INodeNo(0x1122_3344_5566_7788);

    fn check(notification: &Notification<'_>, code: i32, expected: &[&[u8]]) {
        assert_eq!(notification.code(), code);
        assert_eq!(notification.parts().concat(), expected.concat());
    }

    fn u64s(value: u64) -> [u8; 8] {
        value.to_ne_bytes()
    }

    fn u32s(value: u32) -> [u8; 4] {
        value.to_ne_bytes()
    }

    #[test]
    fn a_poll_wakeup_has_the_kernels_handle() {
        check(&Notification::poll(PollHandle(0x42)), 1, &[&u64s(0x42)]);
    }

    #[test]
    fn an_inode_is_invalidated_with_its_range() {
        let notification = Notification::inval_inode(INO, -1, i64::MIN);
        check(&notification, 2, &[&u64s(INO.0), &u64s(u64::MAX), &u64s(1 << 63)]);
    }

    #[test]
    fn an_entry_is_invalidated_by_a_terminated_name() {
        let notification = Notification::inval_entry(INO, b"abc", false).unwrap();
        check(&notification, 3, &[&u64s(INO.0), &u32s(3), &u32s(0), b"abc\0"]);
        let notification = Notification::inval_entry(INO, b"abc", true).unwrap();
        check(&notification, 3, &[&u64s(INO.0), &u32s(3), &u32s(1), b"abc\0"]);
    }

    #[test]
    fn data_is_stored_from_where_it_is() {
        let data = *b"some data";
        let notification = Notification::store(INO, 4096, &data).unwrap();
        check(&notification, 4, &[&u64s(INO.0), &u64s(4096), &u32s(9), &u32s(0), &data]);
        assert_eq!(notification.parts()[1].as_ptr(), data.as_ptr(), "not copied");
        let notification = Notification::store(INO, 0, &[]).unwrap();
        check(&notification, 4, &[&u64s(INO.0), &u64s(0), &u32s(0), &u32s(0)]);
    }

    #[test]
    fn data_is_retrieved_under_a_number_of_ours() {
        let notification = Notification::retrieve(7, INO, 8192, 100);
        let expected = [&u64s(7)[..], &u64s(INO.0), &u64s(8192), &u32s(100), &u32s(0)];
        check(&notification, 5, &expected);
    }

    #[test]
    fn a_deletion_names_parent_child_and_name() {
        let notification = Notification::delete(INO, INodeNo(9), b"x").unwrap();
        check(&notification, 6, &[&u64s(INO.0), &u64s(9), &u32s(1), &u32s(0), b"x\0"]);
    }

    #[test]
    fn resend_and_inc_epoch_are_their_codes_alone() {
        check(&Notification::resend(), 7, &[]);
        check(&Notification::inc_epoch(), 8, &[]);
    }

    #[test]
    fn pruned_inodes_follow_their_count() {
        let notification = Notification::prune(&[INO, INodeNo(2)]).unwrap();
        let expected = [&u32s(2)[..], &u32s(0), &u64s(0), &u64s(INO.0), &u64s(2)];
        check(&notification, 9, &expected);
        check(&Notification::prune(&[]).unwrap(), 9, &[&[0; 16]]);
    }

    #[test]
    fn names_the_kernel_cannot_take_are_errors() {
        for (name, expected) in [
            (&b"\0"[..], Errno::EINVAL),
            (b"a\0b", Errno::EINVAL),
            (&[b'a'; 4096], Errno::ENAMETOOLONG),
        ] {
            assert_eq!(Notification::inval_entry(INO, name, false).unwrap_err(), expected);
            assert_eq!(Notification::delete(INO, INO, name).unwrap_err(), expected);
        }
        assert!(Notification::inval_entry(INO, &[b'a'; 4095], false).is_ok());
        assert!(Notification::delete(INO, INO, &[0xff; 4095]).is_ok(), "bytes, not text");
    }

    #[test]
    fn what_a_header_cannot_express_is_an_error() {
        let most = u32::MAX as usize - 40;
        assert_eq!(fitting(most, 24), Ok(most as u32));
        assert_eq!(fitting(most + 1, 24), Err(Errno::EOVERFLOW));
        assert_eq!(fitting(u32::MAX as usize, 24), Err(Errno::EOVERFLOW));
        assert_eq!(fitting(usize::MAX, 24), Err(Errno::EOVERFLOW));
    }

    #[test]
    fn random_notifications_say_how_long_they_are() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let (mut sent, mut refused) = (0, 0);
        for _ in 0..5_000 {
            let most = *[1, 8, 300, 5_000].get((random() % 4) as usize).unwrap();
            let bytes: Vec<u8> = (0..random() % most).map(|_| random() as u8).collect();
            let inodes: Vec<_> = bytes.iter().map(|&byte| INodeNo(byte.into())).collect();
            let number = random();
            // Where the fixed struct counts what follows, and in pieces of how many bytes.
            let (notification, fixed, counted, behind) = match number % 5 {
                0 => (Notification::inval_entry(INO, &bytes, number % 2 == 0), 16, (8, 1), 1),
                1 => (Notification::delete(INO, INodeNo(number), &bytes), 24, (16, 1), 1),
                2 => (Notification::store(INO, number, &bytes), 24, (16, 1), 0),
                3 => (Notification::prune(&inodes), 16, (0, 8), 0),
                _ => (Ok(Notification::retrieve(number, INO, number, 0)), 32, (24, 1), 0),
            };
            let is_named = number % 5 < 2;
            let is_name = !bytes.contains(&0) && bytes.len() <= FUSE_NAME_MAX;
            assert_eq!(notification.is_ok(), !is_named || is_name, "{bytes:?}");
            let Ok(notification) = notification else {
                refused += 1;
                continue;
            };
            sent += 1;
            let body = notification.parts().concat();
            let (at, size) = counted;
            let count = u32::from_ne_bytes(body[at..at + 4].try_into().unwrap()) as usize;
            assert_eq!(body.len(), fixed + count * size + behind, "{notification:?}");
            assert!(behind == 0 || body.last() == Some(&0));
        }
        assert!(sent > 1_000 && refused > 500, "{sent} sent, {refused} refused");
    }
}
