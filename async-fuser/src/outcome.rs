//! From the answer of an asynchronous method to the kernel.

use std::ops::Deref;

use zerocopy::IntoBytes;

use crate::answer::*;
use crate::duty::Duty;
use crate::transport::{BackingId, Port};

/// What an operation came to: the answer of whichever method served it.
///
/// An [`AsyncFilesystem`](crate::AsyncFilesystem) returns what is inside; a
/// [`Serve`](crate::serve::Serve) sees them all.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// It is done, and there is no more to say. Also of what gets no answer at all.
    Empty(()),
    /// See [`Entry`].
    Entry(Entry),
    /// See [`Attr`].
    Attr(Attr),
    /// See [`Statx`].
    Statx(Statx),
    /// See [`Data`].
    Data(Data<'a>),
    /// See [`Opened`].
    Opened(Opened),
    /// See [`Created`].
    Created(Created),
    /// See [`Written`].
    Written(Written),
    /// See [`Listing`].
    Listing(Listing),
    /// See [`ListingPlus`].
    ListingPlus(ListingPlus),
    /// See [`Statfs`].
    Statfs(Statfs),
    /// See [`Xattr`].
    Xattr(Xattr<'a>),
    /// See [`Lock`].
    Lock(Lock),
    /// See [`Block`].
    Block(Block),
    /// See [`Ioctl`].
    Ioctl(Ioctl<'a>),
    /// See [`Poll`].
    Poll(Poll),
    /// See [`Offset`].
    Offset(Offset),
    /// See [`XTimes`].
    #[cfg(target_os = "macos")]
    XTimes(XTimes),
}

impl Reply<'_> {
    /// Answers with it.
    #[inline]
    pub(crate) fn send<P: Deref<Target = Port>>(self, duty: Duty<P>) {
        match self {
            Self::Empty(()) => duty.ok(&[]),
            Self::Entry(entry) => match entry.attr() {
                Some(attr) => duty.entry(attr.ino, entry.body().as_bytes()),
                None => duty.ok(entry.body().as_bytes()),
            },
            Self::Attr(Attr { attr, ttl }) => duty.ok(body::attr(&ttl, &attr).as_bytes()),
            Self::Statx(Statx { statx, ttl }) => duty.ok(body::statx(&ttl, &statx).as_bytes()),
            Self::Data(mut data) => match data.load(duty.room()) {
                Ok(bytes) => duty.data(&[], bytes),
                Err(error) => duty.error(error.into()),
            },
            Self::Opened(opened) => {
                duty.opened(opened.fh, opened.flags, opened.backing);
            }
            Self::Created(created) => {
                let Created { attr, entry_ttl, attr_ttl, generation, opened } = created;
                duty.created(
                    [&entry_ttl, &attr_ttl],
                    &attr,
                    generation,
                    opened.fh,
                    opened.flags,
                    opened.backing,
                );
            }
            Self::Written(Written(bytes)) => duty.written(bytes),
            Self::Listing(listing) => duty.data(&[], listing.as_bytes()),
            Self::ListingPlus(listing) => duty.listing_plus(listing.as_bytes()),
            Self::Statfs(statfs) => duty.ok(statfs.body().as_bytes()),
            Self::Xattr(Xattr(XattrKind::Size(size))) => duty.xattr_size(size),
            Self::Xattr(Xattr(XattrKind::Value(mut value))) => {
                // One more than may be, which tells what fits from what does not.
                let room = match duty.room() {
                    0 => XATTR_SIZE_MAX + 1,
                    room => room.saturating_add(1),
                };
                match value.load(room) {
                    Ok(bytes) => duty.xattr(bytes),
                    Err(error) => duty.error(error.into()),
                }
            }
            Self::Lock(Lock { start, end, typ, pid }) => {
                duty.ok(body::lock(start, end, typ, pid).as_bytes());
            }
            Self::Block(Block(block)) => duty.ok(body::block(block).as_bytes()),
            Self::Ioctl(Ioctl { result, mut data }) => match data.load(duty.room()) {
                Ok(bytes) => duty.data(body::ioctl(result).as_bytes(), bytes),
                Err(error) => duty.error(error.into()),
            },
            Self::Poll(Poll(events)) => duty.ok(body::poll(events).as_bytes()),
            Self::Offset(Offset(offset)) => duty.ok(body::offset(offset).as_bytes()),
            #[cfg(target_os = "macos")]
            Self::XTimes(XTimes { bkuptime, crtime }) => {
                duty.ok(body::xtimes(bkuptime, crtime).as_bytes());
            }
        }
    }
}

impl Opened {
    /// The kernel reads and writes a backing file by itself; keep `backing` as long as the file is
    /// open.
    ///
    /// Takes `FUSE_PASSTHROUGH` and a stack depth of at least 1, negotiated in `init`.
    #[must_use]
    pub fn with_backing(self, backing: &BackingId) -> Self {
        Self { backing: Some(backing.id()), ..self }
    }
}

/// The largest value that an extended attribute has on Linux.
const XATTR_SIZE_MAX: u32 = 65_536;
