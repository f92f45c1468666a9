use std::io;
use std::thread;

use tokio::sync::oneshot;

/// Does something that blocks, on a thread of its own: the runtime's blocking threads may all be
/// waiting for it.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (done, result) = oneshot::channel();
    thread::Builder::new().name("fuse-aside".to_owned()).spawn(move || {
        // Whoever waited may have gone, and what was made is dropped.
        let _ = done.send(work());
    })?;
    result.await.unwrap_or_else(|_| Err(io::Error::other("a thread of the session panicked")))
}
