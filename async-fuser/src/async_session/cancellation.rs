use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::flight::{Flight, Wish, current};

/// Whether the caller of a request still wants the answer.
///
/// A caller that gets a signal, be it the `SIGKILL` that ends it, waits for the answer all the
/// same; the kernel only tells the filesystem. What happens then:
///
/// * A method that changes nothing (`lookup`, `getattr`, `open`, `read`, `readdir` and their like)
///   is dropped where it waits, and the caller gets `EINTR`. So is a `setlk` that waits for a lock.
/// * A method that changes something (`write`, `rename`, `create`, `fsync`, ...) goes on, so that
///   nothing is torn in its middle. It can look at the token, and end early by itself.
///
/// The kernel does not tell of everybody: what it reads ahead for its cache, or writes back from it,
/// is asked for by nobody in particular. Whoever waits for the cache ends at once by a deadly signal,
/// and the method goes on.
///
/// A method may say otherwise for a part of itself: within [`shield`](Self::shield) nothing is
/// dropped, within [`interruptible`](Self::interruptible) anything is.
///
/// The same token says so when the session ends before the request does.
///
/// # Examples
///
/// ```
/// use async_fuser::lib_async::{Cancellation, Result, Written};
/// use async_fuser::{Errno, op};
/// # async fn send(part: &[u8]) -> Result<()> { Ok(()) }
///
/// async fn write(op: op::Write<'_>) -> Result<Written> {
///     let cancellation = Cancellation::current();
///     let mut done = 0;
///     for part in op.data.chunks(4096) {
///         if cancellation.is_cancelled() {
///             break; // What is written is written, and counts.
///         }
///         send(part).await?;
///         done += part.len() as u64;
///     }
///     if done == 0 && !op.data.is_empty() { Err(Errno::EINTR) } else { Ok(Written(done)) }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Cancellation(Option<Arc<Flight>>);

impl Cancellation {
    /// That of the request whose method is running.
    ///
    /// It may be kept and handed to other tasks. Where no method is running, such as in a test that
    /// calls it directly, nothing is ever cancelled.
    pub fn current() -> Self {
        Self(current())
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|flight| flight.wish() > Wish::None)
    }

    /// Waits until nobody waits for the answer any more.
    pub async fn cancelled(&self) {
        match &self.0 {
            Some(flight) => flight.wished().await,
            None => std::future::pending().await,
        }
    }

    /// Runs a part of the method that must not be dropped in its middle by an interrupt. The method
    /// is dropped behind it instead, where it waits next.
    ///
    /// Only the end of a session's patience cuts it short: see
    /// [`drain`](crate::lib_async::AsyncSessionBuilder::drain).
    pub async fn shield<T>(part: impl Future<Output = T>) -> T {
        within(|flight| &flight.shields, part).await
    }

    /// Runs a part of a method that changes something, which may be dropped by an interrupt: the
    /// whole method ends there, and the caller gets `EINTR`.
    pub async fn interruptible<T>(part: impl Future<Output = T>) -> T {
        within(|flight| &flight.openings, part).await
    }
}

/// Runs `part` with one more in the count.
async fn within<T>(count: fn(&Flight) -> &AtomicU32, part: impl Future<Output = T>) -> T {
    let _section = current().map(|flight| {
        count(&flight).fetch_add(1, Ordering::Relaxed);
        Section { flight, count }
    });
    pin!(part).await
}

struct Section {
    flight: Arc<Flight>,
    count: fn(&Flight) -> &AtomicU32,
}

impl Drop for Section {
    fn drop(&mut self) {
        (self.count)(&self.flight).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn without_a_request_nothing_is_cancelled() {
        let token = Cancellation::current();
        assert!(!token.is_cancelled() && !token.clone().is_cancelled());
        assert!(!poll(pin!(token.cancelled())));
    }

    #[test]
    fn a_part_is_what_it_is_without_a_request_too() {
        let part = pin!(Cancellation::shield(Cancellation::interruptible(async { 7 })));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(part.poll(&mut cx), std::task::Poll::Ready(7));
    }
}
