//! The seam between the engine and whatever serves operations: the table, read once more.

use std::io;
use std::pin::Pin;
use std::task::{self, Context};

use pin_project_lite::pin_project;

use crate::answer::{self, Opened, Statfs};
use crate::async_filesystem::{AsyncFilesystem, Result};
use crate::op::{Operation, Operations, for_each_operation};
use crate::outcome::Reply;
use crate::types::{Errno, FileHandle, Request};
use crate::wire::init::KernelConfig;

/// What an engine drives: one operation in, one answer out.
///
/// Every [`AsyncFilesystem`] is one. Whatever stands between the kernel and a filesystem (metrics,
/// a read-only view, faults for a test) implements this one method instead of one for each
/// operation, and is mounted like a filesystem.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use async_fuser::lib_async::{Reply, Result, Serve};
/// use async_fuser::{KernelConfig, Operations, Request, op::Operation};
///
/// /// Counts what is asked of a filesystem.
/// struct Counted<S> {
///     inner: S,
///     asked: AtomicU64,
/// }
///
/// impl<S: Serve> Serve for Counted<S> {
///     const OPERATIONS: Operations = S::OPERATIONS;
///
///     async fn init(&mut self, req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
///         self.inner.init(req, config).await
///     }
///
///     async fn serve<'a>(&'a self, operation: Operation<'a>) -> Result<Reply<'a>> {
///         self.asked.fetch_add(1, Ordering::Relaxed);
///         self.inner.serve(operation).await
///     }
///
///     async fn destroy(&mut self) {
///         self.inner.destroy().await;
///     }
/// }
/// ```
pub trait Serve: Send + Sync + 'static {
    /// See [`AsyncFilesystem::OPERATIONS`].
    const OPERATIONS: Operations = Operations::ALL;

    /// See [`AsyncFilesystem::init`].
    fn init(
        &mut self,
        req: &Request,
        config: &mut KernelConfig,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Serves one operation. The answer must be of the kind that the operation takes: any other is
    /// an `EIO` to the caller at best.
    fn serve<'a>(
        &'a self,
        operation: Operation<'a>,
    ) -> impl Future<Output = Result<Reply<'a>>> + Send;

    /// See [`AsyncFilesystem::destroy`].
    fn destroy(&mut self) -> impl Future<Output = ()> + Send;
}

macro_rules! async_arms {
    ($($op:ident [$($code:tt)*] $method:ident $(via $sync:ident)? ($($arg:tt)*)
        $(-> $answer:ident)?;)*) => {
        impl<F: AsyncFilesystem> Serve for F {
            const OPERATIONS: Operations = <F as AsyncFilesystem>::OPERATIONS;

            fn init(
                &mut self,
                req: &Request,
                config: &mut KernelConfig,
            ) -> impl Future<Output = io::Result<()>> + Send {
                AsyncFilesystem::init(self, req, config)
            }

            #[inline]
            fn serve<'a>(
                &'a self,
                operation: Operation<'a>,
            ) -> impl Future<Output = Result<Reply<'a>>> + Send {
                match operation {
                    $(Operation::$op(op) => Call::$op { call: self.$method(op) },)*
                }
            }

            fn destroy(&mut self) -> impl Future<Output = ()> + Send {
                AsyncFilesystem::destroy(self)
            }
        }

        pin_project! {
            /// The future of whichever method serves an operation. An `async` block would keep the
            /// operation beside it, which is larger than most.
            #[project = Pinned]
            enum Call<$($op),*> {
                $($op { #[pin] call: $op },)*
            }
        }

        impl<'a, $($op),*> Future for Call<$($op),*>
        where
            $($op: Future<Output = async_arms!(@type 'a $($answer)?)>,)*
        {
            type Output = Result<Reply<'a>>;

            #[inline]
            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> task::Poll<Self::Output> {
                match self.project() {
                    $(Pinned::$op { call } => {
                        let result = task::ready!(call.poll(cx));
                        task::Poll::Ready(async_arms!(@answer result $(, $answer)?))
                    })*
                }
            }
        }
    };
    (@answer $result:expr, $answer:ident) => { $result.map(Reply::$answer) };
    (@answer $result:expr) => { Ok(Reply::Empty($result)) };
    (@type $lifetime:lifetime Data) => { Result<answer::Data<$lifetime>> };
    (@type $lifetime:lifetime Xattr) => { Result<answer::Xattr<$lifetime>> };
    (@type $lifetime:lifetime Ioctl) => { Result<answer::Ioctl<$lifetime>> };
    (@type $lifetime:lifetime Empty) => { Result<()> };
    (@type $lifetime:lifetime $answer:ident) => { Result<answer::$answer> };
    (@type $lifetime:lifetime) => { () };
}
for_each_operation!(async_arms);

/// What is answered to an operation that a filesystem does not have: the same as by a method of
/// [`AsyncFilesystem`] that is left out.
pub(crate) fn left_out(operation: &Operation<'_>) -> Result<Reply<'static>> {
    match operation {
        Operation::Forget(_)
        | Operation::BatchForget(_)
        | Operation::Release(_)
        | Operation::Releasedir(_) => Ok(Reply::Empty(())),
        Operation::Open(_) | Operation::Opendir(_) => Ok(Reply::Opened(Opened::new(FileHandle(0)))),
        Operation::Statfs(_) => Ok(Reply::Statfs(Statfs::default())),
        Operation::Symlink(_) | Operation::Link(_) => Err(Errno::EPERM),
        Operation::Ioctl(_) => Err(Errno::ENOTTY),
        _ => Err(Errno::ENOSYS),
    }
}
