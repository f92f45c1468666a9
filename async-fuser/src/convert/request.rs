use crate::async_filesystem::Result;
use crate::async_session::{AsyncNotifier, Cancellation};
use crate::types::Request;

/// Makes a parameter from the request as a whole.
///
/// Parameters with the names `caller`, `cancellation` and `notifier` are made by it, whatever their
/// type, and those of the types [`Caller`], [`Cancellation`] and
/// [`AsyncNotifier`], whatever their name. An error is the
/// operation's.
///
/// # Examples
///
/// ```
/// use async_fuser::convert::FromRequest;
/// use async_fuser::{Errno, Request, fuse_filesystem};
///
/// /// A caller that is root; nobody else gets as far as the method.
/// struct Root;
///
/// impl FromRequest<'_> for Root {
///     fn from_request(req: &Request) -> Result<Self, Errno> {
///         if req.uid() == 0 { Ok(Self) } else { Err(Errno::EPERM) }
///     }
/// }
///
/// struct Files;
///
/// #[fuse_filesystem]
/// impl Files {
///     async fn syncfs(&self, _caller: Root) -> Result<(), Errno> {
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be made from a request",
    label = "this is no part of a request",
    note = "parameters of any operation are `caller: Caller`, `cancellation: Cancellation`, \
            `notifier: AsyncNotifier` and `req: &Request`",
    note = "implement `FromRequest` for a type of your own"
)]
pub trait FromRequest<'a>: Sized {
    /// Makes it, or says what the operation fails with.
    fn from_request(req: &'a Request) -> Result<Self>;
}

#[diagnostic::do_not_recommend]
impl<'a> FromRequest<'a> for &'a Request {
    fn from_request(req: &'a Request) -> Result<Self> {
        Ok(req)
    }
}

/// Who asks, as a value that may be kept: see [`Request`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The thread, or 0.
    pub pid: u32,
}

#[diagnostic::do_not_recommend]
impl FromRequest<'_> for Caller {
    fn from_request(req: &Request) -> Result<Self> {
        Ok(Self { uid: req.uid(), gid: req.gid(), pid: req.pid() })
    }
}

#[diagnostic::do_not_recommend]
impl FromRequest<'_> for Cancellation {
    fn from_request(_: &Request) -> Result<Self> {
        Ok(Self::current())
    }
}

#[diagnostic::do_not_recommend]
impl FromRequest<'_> for AsyncNotifier {
    fn from_request(_: &Request) -> Result<Self> {
        Ok(Self::current())
    }
}
