//! What the code that `#[fuse_filesystem]` writes calls.
//!
//! The types of a user's result are named in a turbofish, so that whatever is wrong with one is one
//! error at the place where the user wrote it. Each function is written out: a macro would show up
//! in that error.

use std::io;

use super::*;
use crate::answer::*;
use crate::async_filesystem::Result;
use crate::op;
use crate::types::{Errno, Request};

/// A field of an operation.
pub struct Field<F>(pub F);

impl<F> Field<F> {
    #[inline]
    pub fn to<T: FromField<F>>(self) -> Result<T> {
        T::from_field(self.0)
    }
}

/// A request as a whole.
pub struct Whole<'a>(pub &'a Request);

impl<'a> Whole<'a> {
    #[inline]
    pub fn to<T: FromRequest<'a>>(self) -> Result<T> {
        T::from_request(self.0)
    }
}

/// The `Result` that something is. Where it is none, its parts are not known, and that nothing is
/// known of them is no further error.
#[inline]
pub fn result<T: PartOf<R, E>, E, R>(whole: R) -> Result<T, E> {
    T::result(whole)
}

pub trait PartOf<R, E>: Sized {
    fn result(whole: R) -> Result<Self, E>;
}

impl<T, E> PartOf<Result<T, E>, E> for T {
    fn result(whole: Result<T, E>) -> Result<Self, E> {
        whole
    }
}

#[inline]
pub fn empty<T: IntoEmpty, E: IntoErrno>(result: Result<T, E>) -> Result<()> {
    result.map_err(E::into_errno)?.into_empty()
}

#[inline]
pub fn lookup<T: IntoLookup, E: IntoErrno>(result: Result<T, E>, ttl: &Ttl) -> Result<Entry> {
    result.map_err(E::into_errno)?.into_lookup(ttl)
}

#[inline]
pub fn entry<T: IntoEntry, E: IntoErrno>(result: Result<T, E>, ttl: &Ttl) -> Result<Entry> {
    result.map_err(E::into_errno)?.into_entry(ttl)
}

#[inline]
pub fn attr<T: IntoAttr, E: IntoErrno>(result: Result<T, E>, ttl: &Ttl) -> Result<Attr> {
    result.map_err(E::into_errno)?.into_attr(ttl)
}

#[inline]
pub fn statx<T: IntoStatx, E: IntoErrno>(result: Result<T, E>, ttl: &Ttl) -> Result<Statx> {
    result.map_err(E::into_errno)?.into_statx(ttl)
}

#[inline]
pub fn target<'a, T: IntoTarget<'a>, E: IntoErrno>(result: Result<T, E>) -> Result<Data<'a>> {
    result.map_err(E::into_errno)?.into_target()
}

#[inline]
pub fn data<'a, T: IntoData<'a>, E: IntoErrno>(result: Result<T, E>) -> Result<Data<'a>> {
    result.map_err(E::into_errno)?.into_data()
}

#[inline]
pub fn opened<T: IntoOpened, E: IntoErrno>(result: Result<T, E>) -> Result<Opened> {
    result.map_err(E::into_errno)?.into_opened()
}

#[inline]
pub fn created<T: IntoCreated, E: IntoErrno>(result: Result<T, E>, ttl: &Ttl) -> Result<Created> {
    result.map_err(E::into_errno)?.into_created(ttl)
}

#[inline]
pub fn written<T: IntoWritten, E: IntoErrno>(result: Result<T, E>) -> Result<Written> {
    result.map_err(E::into_errno)?.into_written()
}

#[inline]
pub fn statfs<T: IntoStatfs, E: IntoErrno>(result: Result<T, E>) -> Result<Statfs> {
    result.map_err(E::into_errno)?.into_statfs()
}

#[inline]
pub fn value<'a, T: IntoValue<'a>, E: IntoErrno>(result: Result<T, E>) -> Result<Xattr<'a>> {
    result.map_err(E::into_errno)?.into_value()
}

#[inline]
pub fn names<'a, T: IntoNames<'a>, E: IntoErrno>(result: Result<T, E>) -> Result<Xattr<'a>> {
    result.map_err(E::into_errno)?.into_names()
}

#[inline]
pub fn lock<T: IntoLock, E: IntoErrno>(result: Result<T, E>) -> Result<Lock> {
    result.map_err(E::into_errno)?.into_lock()
}

#[inline]
pub fn block<T: IntoBlock, E: IntoErrno>(result: Result<T, E>) -> Result<Block> {
    result.map_err(E::into_errno)?.into_block()
}

#[inline]
pub fn ioctl<'a, T: IntoIoctl<'a>, E: IntoErrno>(result: Result<T, E>) -> Result<Ioctl<'a>> {
    result.map_err(E::into_errno)?.into_ioctl()
}

#[inline]
pub fn poll<T: IntoPoll, E: IntoErrno>(result: Result<T, E>) -> Result<Poll> {
    result.map_err(E::into_errno)?.into_poll()
}

#[inline]
pub fn offset<T: IntoOffset, E: IntoErrno>(result: Result<T, E>) -> Result<Offset> {
    result.map_err(E::into_errno)?.into_offset()
}

#[cfg(target_os = "macos")]
#[inline]
pub fn xtimes<T: IntoXTimes, E: IntoErrno>(result: Result<T, E>) -> Result<XTimes> {
    result.map_err(E::into_errno)?.into_xtimes()
}

pub fn nothing<R: IntoNothing>(_: R) {}

pub fn init<T: IntoEmpty, E: IntoInitError>(result: Result<T, E>) -> io::Result<()> {
    Ok(result.map_err(E::into_init_error)?.into_empty()?)
}

/// A read that wrote into the buffer. To have written more than there is room for is an `EIO`.
#[inline]
pub fn filled<'a, T: IntoFilled, E: IntoErrno>(
    result: Result<T, E>,
    buffer: ReadBuffer,
) -> Result<Data<'a>> {
    let len = result.map_err(E::into_errno)?.into_filled()?;
    if len > buffer.len() {
        log::error!("a read returned {len} bytes, and its buffer has {}", buffer.len());
        return Err(Errno::EIO);
    }
    Ok(buffer.filled(len))
}

/// A read that returned the whole file.
pub fn part<'a, T: IntoData<'a>, E: IntoErrno>(
    result: Result<T, E>,
    offset: u64,
    size: u32,
) -> Result<Data<'a>> {
    Ok(data(result)?.part(offset, size))
}

pub fn listing<T: IntoListing, E: IntoErrno, O: Lists>(
    result: Result<T, E>,
    op: &O,
    ttl: &Ttl,
) -> Result<O::Listing> {
    let entries = result.map_err(E::into_errno)?.into_listing()?;
    Page::of(op, ttl).listed(Entries::new(entries))
}

/// As [`listing()`], of a method that took the operation as a whole.
pub fn page<T: IntoPage<Listing>, E: IntoErrno>(
    result: Result<T, E>,
    op: &op::Readdir<'_>,
    ttl: &Ttl,
) -> Result<Listing> {
    result.map_err(E::into_errno)?.into_page(&Page::of(op, ttl))
}

/// As [`page()`], of `readdirplus`.
pub fn page_plus<T: IntoPage<ListingPlus>, E: IntoErrno>(
    result: Result<T, E>,
    op: &op::Readdirplus<'_>,
    ttl: &Ttl,
) -> Result<ListingPlus> {
    result.map_err(E::into_errno)?.into_page(&Page::of(op, ttl))
}

/// The page out of what was listed for an earlier one.
pub fn resumed<O: Lists>(op: &O) -> Option<O::Listing> {
    Page::of(op, &Ttl::DEFAULT).resumed()?.ok()
}

/// The open directory is closed: nobody goes on with its listing.
pub fn released(op: &op::Releasedir<'_>) {
    if let Some(snapshots) = Snapshots::current() {
        snapshots.release(op.ino, op.fh);
    }
}
