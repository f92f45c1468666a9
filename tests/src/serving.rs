//! A session on any of the engines.

use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use async_fuser::lib_async::{AsyncSessionBuilder, Serve, SessionHandle};
use async_fuser::{BackgroundSession, Config, spawn_mount};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::sleep;

use crate::{AsyncProbe, Probe, ProbeOptions, Watch};

/// What serves a filesystem, and how it is mounted.
#[derive(Clone, Debug)]
pub struct Engine {
    /// [`Config::n_threads`] is the number of threads of the one and of readers of the other.
    pub config: Config,
    /// `None` is the synchronous engine.
    pub workers: Option<Workers>,
}

/// A runtime's threads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Workers {
    /// The one that waits for the session.
    Current,
    /// Two of its own.
    Two,
    /// Two of its own, beside a first reader that is a thread, too.
    TwoAndReader,
}

impl Workers {
    /// A runtime with these.
    pub fn runtime(self) -> Runtime {
        let mut builder = match self {
            Self::Current => Builder::new_current_thread(),
            Self::Two | Self::TwoAndReader => Builder::new_multi_thread(),
        };
        builder.worker_threads(2).enable_all().build().expect("a runtime")
    }
}

impl Engine {
    /// One thread, several, and several with a descriptor each.
    pub fn synchronous() -> Vec<Self> {
        [(1, false), (4, false), (4, true)]
            .map(|(threads, clone_fd)| Self::new(threads, clone_fd, None))
            .into()
    }

    /// The current thread, several, several beside a reader, and several readers on either.
    pub fn asynchronous() -> Vec<Self> {
        use Workers::{Current, Two, TwoAndReader};
        [(1, Current), (1, Two), (1, TwoAndReader), (4, Current), (4, Two)]
            .map(|(readers, workers)| Self::new(readers, false, Some(workers)))
            .into()
    }

    /// The simplest of both, and the one with the most threads.
    pub fn few() -> Vec<Self> {
        let asynchronous = Self::asynchronous();
        let mut few = vec![Self::synchronous().swap_remove(0)];
        few.extend(asynchronous.first().cloned().into_iter().chain(asynchronous.last().cloned()));
        few
    }

    /// All of both.
    pub fn all() -> Vec<Self> {
        [Self::synchronous(), Self::asynchronous()].concat()
    }

    fn new(n_threads: usize, clone_fd: bool, workers: Option<Workers>) -> Self {
        let mut config = Config::default();
        config.n_threads = Some(n_threads);
        config.clone_fd = clone_fd;
        Self { config, workers }
    }

    /// Mounts a probe, and serves it in the background.
    pub fn spawn(
        &self,
        options: ProbeOptions,
        at: impl AsRef<Path>,
    ) -> (io::Result<Serving>, Watch) {
        let Some(workers) = self.workers else {
            let (probe, watch) = Probe::new(options);
            return (spawn_mount(probe, at, &self.config).map(|it| Serving(Kind::Sync(it))), watch);
        };
        let (probe, watch) = AsyncProbe::new(options);
        let builder = AsyncSessionBuilder::new(probe)
            .config(&self.config)
            .blocking_reader(workers == Workers::TwoAndReader);
        (Serving::of(builder, workers, at), watch)
    }
}

impl From<&Config> for Engine {
    fn from(config: &Config) -> Self {
        Self { config: config.clone(), workers: None }
    }
}

impl From<&Self> for Engine {
    fn from(engine: &Self) -> Self {
        engine.clone()
    }
}

/// A session in the background. Dropping it unmounts, and waits for its end.
#[derive(Debug)]
pub struct Serving(Kind);

#[derive(Debug)]
enum Kind {
    Sync(BackgroundSession),
    Async(Option<Asynchronous>),
}

/// A session on a runtime, which is on a thread of its own.
#[derive(Debug)]
struct Asynchronous {
    thread: JoinHandle<io::Result<()>>,
    tell: UnboundedSender<End>,
    handle: SessionHandle,
    runtime: Handle,
}

#[derive(Debug)]
enum End {
    Unmount,
    Drop,
}

impl Serving {
    /// Serves on a runtime of its own, which must be without tasks in the end.
    pub fn of<S: Serve>(
        builder: AsyncSessionBuilder<S>,
        workers: Workers,
        at: impl AsRef<Path>,
    ) -> io::Result<Self> {
        let at = at.as_ref().to_owned();
        let (tell, mut told) = unbounded_channel();
        let (begun, has_begun) = mpsc::channel();
        let thread = thread::Builder::new().name("runtime".to_owned()).spawn(move || {
            let runtime = workers.runtime();
            let result = runtime.block_on(async {
                let session = builder.spawn(&at).await?;
                let handle = session.handle();
                begun.send((handle.clone(), Handle::current())).expect("somebody waits");
                let mut ended = Box::pin(session.join());
                loop {
                    tokio::select! {
                        result = &mut ended => break result,
                        Some(end) = told.recv() => match end {
                            End::Unmount => handle.unmount().await?,
                            End::Drop => {
                                drop(ended);
                                break Ok(());
                            }
                        },
                    }
                }
            });
            runtime.block_on(without_tasks());
            result
        })?;
        match has_begun.recv() {
            Ok((handle, runtime)) => {
                Ok(Self(Kind::Async(Some(Asynchronous { thread, tell, handle, runtime }))))
            }
            Err(_) => Err(thread.join().expect("no panic").expect_err("it has not begun")),
        }
    }

    /// A hold on the session. Panics for the synchronous engine.
    pub fn handle(&self) -> &SessionHandle {
        &self.asynchronous().handle
    }

    /// The session's runtime. Panics for the synchronous engine.
    pub fn runtime(&self) -> &Handle {
        &self.asynchronous().runtime
    }

    fn asynchronous(&self) -> &Asynchronous {
        match &self.0 {
            Kind::Async(Some(session)) => session,
            _ => panic!("this is no asynchronous session"),
        }
    }

    /// Whether it has ended, and nothing of it is left.
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Kind::Sync(session) => session.guard.is_finished(),
            Kind::Async(session) => session.as_ref().is_none_or(|it| it.thread.is_finished()),
        }
    }

    /// Waits for its end.
    pub fn join(self) -> io::Result<()> {
        self.end(None)
    }

    /// Unmounts, and waits for its end.
    pub fn umount_and_join(self) -> io::Result<()> {
        self.end(Some(End::Unmount))
    }

    fn end(mut self, how: Option<End>) -> io::Result<()> {
        match &mut self.0 {
            Kind::Async(session) => session.take().expect("it has not ended yet").end(how),
            Kind::Sync(_) => {
                let Kind::Sync(session) = std::mem::replace(&mut self.0, Kind::Async(None)) else {
                    unreachable!("it is synchronous")
                };
                if how.is_some() { session.umount_and_join() } else { session.join() }
            }
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Kind::Async(session) = &mut self.0 {
            if let Some(Err(error)) = session.take().map(|it| it.end(Some(End::Drop))) {
                eprintln!("a session that was dropped: {error}");
            }
        }
    }
}

impl Asynchronous {
    fn end(self, how: Option<End>) -> io::Result<()> {
        if let Some(how) = how {
            // It may have ended by itself.
            let _ = self.tell.send(how);
        }
        self.thread.join().expect("the session does not panic")
    }
}

/// Waits until the runtime has no tasks: a session that has ended must not leave any.
pub async fn without_tasks() {
    const LIMIT: Duration = Duration::from_secs(30);
    let end = Instant::now() + LIMIT;
    let metrics = Handle::current().metrics();
    // One whose end is known may be counted for a moment.
    while metrics.num_alive_tasks() > 0 {
        assert!(Instant::now() < end, "{} tasks are left", metrics.num_alive_tasks());
        sleep(Duration::from_millis(1)).await;
    }
}
