use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::aside::aside;
use super::builder::{AsyncSessionBuilder, Origin, Settings};
use super::handle::{AsyncBackgroundSession, End, SessionHandle};
use super::hub::Hub;
use super::notifier::{AsyncNotifier, bound_already};
use super::reader::{Engine, EngineInUse, read_requests, read_requests_blocking, watched};
use crate::mount::Mount;
use crate::notifier::Notifier;
use crate::op::Operations;
use crate::serve::Serve;
use crate::session::acl::Acl;
use crate::session::handshake::{Agreed, Hello, hello, init_panicked};
use crate::session::incoming::refuse;
use crate::session::{SharedMount, UnmountedOnDrop};
use crate::transport::{Buffer, Device, Port, Received, inherited};
use crate::types::{Errno, InitFlags, Request};
use crate::wire::init::KernelConfig;

/// An asynchronous filesystem and its connection to the kernel.
///
/// Made by [`AsyncSessionBuilder`]. Dropped without having been run it unmounts, and `destroy` is
/// polled once: it cannot wait for anything then.
// Dropped in this order: the connection is closed, which frees whoever waits for it, then it is
// unmounted, then the filesystem is destroyed.
#[must_use = "dropped, it unmounts"]
pub struct AsyncSession<S: Serve> {
    port: Arc<Port>,
    mount: UnmountedOnDrop,
    filesystem: Destroyed<S>,
    agreed: Agreed,
    handle: SessionHandle,
    asked: watch::Receiver<End>,
    hub: Arc<Hub>,
    settings: Settings,
}

impl<S: Serve> AsyncSession<S> {
    pub(super) async fn begin(builder: AsyncSessionBuilder<S>, origin: Origin) -> io::Result<Self> {
        let AsyncSessionBuilder { filesystem, settings } = builder;
        let mut filesystem = Destroyed(Some(filesystem));
        match Connected::new(&mut filesystem, &settings, origin).await {
            Ok(connected) => {
                let Connected { port, mount, agreed, handle, asked, hub } = connected;
                Ok(Self { port, mount, filesystem, agreed, handle, asked, hub, settings })
            }
            Err(error) => {
                filesystem.destroy().await;
                Err(error)
            }
        }
    }

    /// A hold on the session that can be kept elsewhere.
    pub fn handle(&self) -> SessionHandle {
        self.handle.clone()
    }

    /// Serves the filesystem until it is unmounted: returns when requests that waited have ended,
    /// and `destroy` has run.
    ///
    /// The session is a task of its own. If this future is dropped the filesystem is unmounted, and
    /// the session ends by itself.
    pub async fn run(self) -> io::Result<()> {
        self.spawn().join().await
    }

    /// Serves the filesystem in the background.
    pub fn spawn(self) -> AsyncBackgroundSession {
        let handle = self.handle.clone();
        let task = self.hub.runtime.clone().spawn(self.drive());
        AsyncBackgroundSession::new(handle, task)
    }

    /// The session, from its first request to its end.
    async fn drive(self) -> io::Result<()> {
        let Self { port, mount, filesystem, agreed, handle, asked, hub, settings } = self;
        let acl = Acl::new(settings.config.acl);
        let engine = Arc::new(Engine { fs: filesystem, hub: hub.clone(), agreed, acl });
        // With its runtime this may be dropped wherever it waits: the last of these first.
        let (engine, mount) = (engine, mount);
        let connection = CutOnDrop::new(port, &settings, &mount.0);

        let result = serve(&engine, &connection.port, &handle, asked, &settings).await;
        connection.port.shared().end();
        let emptied = empty(&hub, settings.drain).await;
        // As in a drop: the connection is closed first, the filesystem destroyed last.
        close(connection.whole()).await;
        let shared = mount.0.clone();
        // Where no thread is to be had it is done here.
        let unmounted = aside(move || shared.unmount()).await.or_else(|_| mount.0.unmount());
        let fs = Arc::into_inner(engine).map(|engine| engine.fs);
        match fs {
            Some(fs) => fs.destroy().await,
            None => log::error!("a method is still running: `destroy` is polled when it ends"),
        }
        result.and(emptied).and(unmounted)
    }
}

impl<S: Serve> AsFd for AsyncSession<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.port.device().as_fd()
    }
}

impl<S: Serve> fmt::Debug for AsyncSession<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncSession")
            .field("port", &self.port)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// All of a session but its filesystem and its settings.
struct Connected {
    port: Arc<Port>,
    mount: UnmountedOnDrop,
    agreed: Agreed,
    handle: SessionHandle,
    asked: watch::Receiver<End>,
    hub: Arc<Hub>,
}

impl Connected {
    async fn new<S: Serve>(
        filesystem: &mut Destroyed<S>,
        settings: &Settings,
        origin: Origin,
    ) -> io::Result<Self> {
        let runtime = Handle::current();
        if settings.notifier.as_ref().is_some_and(AsyncNotifier::has_session) {
            return Err(bound_already());
        }
        let config = settings.config.clone();
        let begun = aside(move || {
            let (device, mount) = match origin {
                Origin::Descriptor(fd) => (fd, None),
                Origin::Mountpoint(path) => match inherited(&path)? {
                    Some(fd) => (fd, None),
                    None => Mount::new(&path, &config).map(|(fd, mount)| (fd, Some(mount)))?,
                },
            };
            let connection = mount.as_ref().and_then(Mount::connection);
            let mount = UnmountedOnDrop(SharedMount::new(mount));
            let port = Arc::new(Port::new(Device::new(device), connection));
            let (hello, kernel) = hello(port.clone(), &config, config.acl)?;
            Ok(Begun { hello, port, mount, kernel })
        });
        // Dropped from the last to the first, should there be an error.
        let Begun { mount, port, hello, mut kernel } = begun.await?;
        kernel.prefer(capabilities(S::OPERATIONS), MAX_BACKGROUND);
        let agreed = match init(filesystem, &hello, &mut kernel, settings).await {
            Ok(()) => hello.agree(&kernel)?,
            Err(error) => return Err(hello.refuse(error)),
        };
        let hub = Arc::new(Hub::new(runtime, settings.limits()));
        let (end, asked) = watch::channel(End::No);
        let handle = SessionHandle {
            mount: mount.0.clone(),
            end: Arc::new(end),
            notifier: Notifier::new(&port),
            hub: Arc::downgrade(&hub),
            places: hub.places.clone(),
        };
        if let Some(notifier) = &settings.notifier {
            notifier.bind(handle.notifier.clone(), hub.places.clone())?;
        }
        Ok(Self { port, mount, agreed, handle, asked, hub })
    }
}

/// The connection of a session. If that is dropped in its middle nobody serves the connection any
/// more, and whoever uses it gets an error instead of no answer.
struct CutOnDrop {
    port: Arc<Port>,
    cut: bool,
}

impl CutOnDrop {
    /// What somebody else has mounted may be served by somebody else next, if no thread waits in it.
    fn new(port: Arc<Port>, settings: &Settings, mount: &SharedMount) -> Self {
        let readers = settings.config.n_threads.unwrap_or(1);
        let has_threads = settings.blocking_reader || readers > 1;
        Self { port, cut: mount.was_mounted() || has_threads }
    }

    /// The session has come to its end.
    fn whole(mut self) -> Arc<Port> {
        self.cut = false;
        self.port.clone()
    }
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if self.cut {
            if let Err(error) = self.port.abort() {
                log::warn!("{error}");
            }
        }
    }
}

/// A connection whose INIT has come. Dropped in this order.
struct Begun {
    hello: Hello<Arc<Port>>,
    port: Arc<Port>,
    mount: UnmountedOnDrop,
    kernel: KernelConfig,
}

/// Lets the filesystem have its say.
async fn init<S: Serve>(
    filesystem: &mut Destroyed<S>,
    hello: &Hello<Arc<Port>>,
    kernel: &mut KernelConfig,
    settings: &Settings,
) -> io::Result<()> {
    if let Some(fs) = &mut filesystem.0 {
        let initialized = caught(async { fs.init(hello.req(), kernel).await }).await;
        initialized.unwrap_or_else(|Panicked| Err(init_panicked()))?;
    }
    if let Some(limit) = settings.kernel_timeout {
        let seconds = limit.as_secs().saturating_add(u64::from(limit.subsec_nanos() > 0));
        if kernel.set_request_timeout(Duration::from_secs(seconds)).is_err() {
            log::warn!("this kernel has no timeout for requests, or not one of {limit:?}");
        }
    }
    Ok(())
}

/// Any number of requests is served at the same time: the kernel need not hold them back.
const MAX_BACKGROUND: u16 = 1024;

/// What is asked for where any number of requests is served at the same time, and what the
/// operations of the filesystem call for.
#[cfg(not(target_os = "macos"))]
fn capabilities(operations: Operations) -> InitFlags {
    let mut wanted = InitFlags::FUSE_PARALLEL_DIROPS | InitFlags::FUSE_ASYNC_DIO;
    if operations.is_named() {
        let has = |method| operations.contains(method);
        wanted.set(InitFlags::FUSE_POSIX_LOCKS, has("getlk") && has("setlk"));
        wanted.set(InitFlags::FUSE_FLOCK_LOCKS, has("setlk"));
        let plus = InitFlags::FUSE_DO_READDIRPLUS | InitFlags::FUSE_READDIRPLUS_AUTO;
        wanted.set(plus, has("readdirplus"));
    }
    wanted
}

#[cfg(target_os = "macos")]
fn capabilities(_: Operations) -> InitFlags {
    InitFlags::empty()
}

/// Serves until the connection is over, or the session is asked to end and its users have had their
/// grace.
async fn serve<S: Serve>(
    engine: &Arc<Engine<S>>,
    port: &Arc<Port>,
    handle: &SessionHandle,
    mut asked: watch::Receiver<End>,
    settings: &Settings,
) -> io::Result<()> {
    const GRACE: Duration = Duration::from_secs(5);

    let mut signals = if settings.signals { Some(Signals::new()?) } else { None };
    let watched = if settings.blocking_reader { None } else { Some(watched(port)?) };
    let mut threads = threads(engine, port, settings)?;
    let mut reader = match watched {
        Some(watched) => {
            let reader = read_requests(EngineInUse::new(engine), port.clone(), watched);
            FirstReader::Task(engine.hub.runtime.spawn(reader))
        }
        None => {
            threads += 1;
            FirstReader::Thread(reader_thread(0, engine, port.clone())?)
        }
    };
    let grace = settings.config.busy_grace.unwrap_or(GRACE);
    let mut patience = None::<Instant>;
    let result = loop {
        tokio::select! {
            result = reader.ended() => break result,
            changed = asked.changed() => {
                let end = *asked.borrow_and_update();
                if changed.is_err() || end == End::Now {
                    break Ok(());
                }
                if end == End::Unmounted && patience.is_none() {
                    patience = Instant::now().checked_add(grace);
                }
            }
            () = caught_signal(&mut signals) => handle.unmount_aside(),
            () = sleep_until(patience.unwrap_or_else(Instant::now)), if patience.is_some() => {
                log::warn!("the filesystem is still in use: the session ends without its users");
                break Ok(());
            }
        }
    };
    // Requests are not torn: a reader can be ended only where it waits for one. It is waited for
    // with the requests, as it may be within a method that blocks.
    drop(reader);
    port.shared().stop();
    if threads > 0 {
        // They wait in the kernel, which only the end of the connection ends.
        let port = port.clone();
        if let Err(error) = aside(move || port.abort()).await {
            log::warn!("{error}");
        }
    }
    result
}

/// Starts the readers beyond the first. Returns how many could be.
fn threads<S: Serve>(
    engine: &Arc<Engine<S>>,
    port: &Port,
    settings: &Settings,
) -> io::Result<usize> {
    let readers = settings.config.readers()?;
    // All or none: a thread that reads already would not end with an error here.
    let ports = (1..readers).map(|_| port.duplicate()).collect::<io::Result<Vec<_>>>();
    let ports = ports.map_err(|error| {
        let what = format!("n_threads is {readers}, and each takes a clone of /dev/fuse");
        io::Error::new(error.kind(), format!("{what}: {error}"))
    })?;
    let mut started = 0;
    for (number, port) in (1..).zip(ports) {
        // Fewer threads serve more slowly, but they serve.
        match reader_thread(number, engine, Arc::new(port)) {
            Ok(_) => started += 1,
            Err(error) => log::error!("thread {number} is missing: {error}"),
        }
    }
    Ok(started)
}

/// Starts a reader that is a thread. It is waited for with the requests; what it came to is told.
fn reader_thread<S: Serve>(
    number: usize,
    engine: &Arc<Engine<S>>,
    port: Arc<Port>,
) -> io::Result<oneshot::Receiver<io::Result<()>>> {
    let engine = EngineInUse::new(engine);
    let (told, result) = oneshot::channel();
    thread::Builder::new().name(format!("fuse-{number}")).spawn(move || {
        let result = read_requests_blocking(engine, port);
        if let Err(error) = &result {
            log::error!("a reader has ended: {error}");
        }
        // Only the first one's is waited for.
        let _ = told.send(result);
    })?;
    Ok(result)
}

/// Waits until all requests have ended, and ends them when they have had their time.
async fn empty(hub: &Hub, drain: Duration) -> io::Result<()> {
    const TO_BE_DROPPED: Duration = Duration::from_secs(2);
    if hub.is_empty() || timeout(drain, hub.gone()).await.is_ok() {
        return Ok(());
    }
    for request in hub.in_flight() {
        log::warn!("{request} has not ended, and is dropped");
    }
    hub.end_all();
    timeout(TO_BE_DROPPED, hub.gone()).await.map_err(|_| {
        let error = "the session has ended, but a method of the filesystem blocks its thread";
        io::Error::new(io::ErrorKind::TimedOut, error)
    })
}

/// Lets go of the connection. A notification that is under way keeps it open, and may be waiting
/// for requests that nobody reads any more.
async fn close(port: Arc<Port>) {
    const PATIENCE: u32 = 500;
    const STEP: Duration = Duration::from_millis(10);
    // Taken apart rather than counted: a notification that begins now would keep it.
    let Err(mut port) = Arc::try_unwrap(port) else { return };
    let held = port.clone();
    if aside(move || held.abort()).await.is_ok() {
        return;
    }
    let mut buffer = match Buffer::new(BIGGEST_REQUEST) {
        Ok(buffer) => buffer,
        Err(error) => return log::warn!("{error}"),
    };
    for _ in 0..PATIENCE {
        match Arc::try_unwrap(port) {
            Ok(_) => return,
            Err(held) => port = held,
        }
        match port.device().try_receive(buffer.as_mut_bytes()) {
            Ok(Some(Received::Request(len))) => {
                if let Some((req, _)) = Request::split(&buffer.as_bytes()[..len]) {
                    refuse(&port, req, Errno::ENOTCONN);
                }
            }
            Ok(Some(Received::End)) => return,
            Ok(None) => sleep(STEP).await,
            Err(error) => return log::warn!("{error}"),
        }
    }
}

/// More than any kernel sends unless its limits were raised.
const BIGGEST_REQUEST: usize = (1 << 20) + 4096;

/// The reader that a session ends with. Dropped, it reads no more, if it is a task.
enum FirstReader {
    Task(JoinHandle<io::Result<()>>),
    Thread(oneshot::Receiver<io::Result<()>>),
}

impl FirstReader {
    /// Waits for its end, and returns how that came.
    async fn ended(&mut self) -> io::Result<()> {
        match self {
            Self::Task(task) => task.await.unwrap_or_else(|error| Err(io::Error::other(error))),
            Self::Thread(result) => {
                result.await.unwrap_or_else(|_| Err(io::Error::other("the reader panicked")))
            }
        }
    }
}

impl Drop for FirstReader {
    fn drop(&mut self) {
        if let Self::Task(task) = self {
            task.abort();
        }
    }
}

/// The signals that end a session.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> io::Result<Self> {
        let listen = |kind| signal(kind);
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }
}

/// Waits for a signal, for ever if none is listened for.
async fn caught_signal(signals: &mut Option<Signals>) {
    poll_fn(|cx| match signals {
        Some(Signals(signals)) => {
            let came = signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
            if came { Poll::Ready(()) } else { Poll::Pending }
        }
        None => Poll::Pending,
    })
    .await;
}

/// A filesystem that is destroyed when it is dropped, at the latest.
#[derive(Debug)]
pub(super) struct Destroyed<S: Serve>(Option<S>);

impl<S: Serve> Destroyed<S> {
    async fn destroy(mut self) {
        if let Some(mut fs) = self.0.take() {
            if let Err(Panicked) = caught(async { fs.destroy().await }).await {
                log::error!("the filesystem's destroy panicked");
            }
        }
    }
}

impl<S: Serve> Deref for Destroyed<S> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        self.0.as_ref().expect("it is taken only by what consumes it")
    }
}

impl<S: Serve> Drop for Destroyed<S> {
    fn drop(&mut self) {
        let Some(mut fs) = self.0.take() else { return };
        let destroyed = pin!(caught(async { fs.destroy().await }));
        match destroyed.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(Panicked)) => log::error!("the filesystem's destroy panicked"),
            Poll::Pending => log::warn!("the filesystem's destroy waits, and was cut short"),
        }
    }
}

struct Panicked;

/// Runs a future, and catches its panic. A future that is made by a call that may panic, too, is to
/// be made within another.
async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}
