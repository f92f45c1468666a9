//! What the tests are made of.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use async_fuser::lib_async::*;
use async_fuser::op::Operation;
use async_fuser::{Config, Errno, KernelConfig, Request, SessionACL};
use tests::opcode::*;
use tests::{Kernel, eventually, request};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};

/// How long anything may take: only what hangs takes longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Longer than any test takes.
pub(crate) const FOREVER: Duration = Duration::from_secs(3600);

/// Of the numbers of inodes, those that mean something to the tests' filesystems: what is asked of
/// this one is answered at once,
pub(crate) const READY: u64 = 1;
/// and of this one, later.
pub(crate) const LATER: u64 = 2;

/// Runs a test on a runtime of each kind.
pub(crate) fn on_both(test: impl Fn(&Stage)) {
    for flavor in [Flavor::CurrentThread, Flavor::MultiThread] {
        let stage = Stage::new(flavor);
        println!("on {flavor:?}");
        test(&stage);
        stage.close();
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flavor {
    CurrentThread,
    MultiThread,
}

/// A runtime on a thread that is not the test's.
pub(crate) struct Stage {
    pub(crate) handle: Handle,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Stage {
    pub(crate) fn new(flavor: Flavor) -> Self {
        let (started, handle) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = match flavor {
                Flavor::CurrentThread => Builder::new_current_thread().enable_all().build(),
                Flavor::MultiThread => {
                    Builder::new_multi_thread().worker_threads(2).enable_all().build()
                }
            };
            let runtime = runtime.expect("a runtime");
            started.send(runtime.handle().clone()).expect("the test waits for it");
            // An error says that the test has panicked.
            let _ = runtime.block_on(stopped);
        });
        let handle = handle.recv_timeout(LIMIT).expect("a runtime");
        Self { handle, stop, thread }
    }

    /// Starts something, to be waited for later.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Started<T> {
        let (done, result) = mpsc::channel();
        self.handle.spawn(async move {
            // The test may not be interested.
            let _ = done.send(future.await);
        });
        Started(result)
    }

    /// Runs something to its end.
    #[track_caller]
    pub(crate) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.start(future).wait()
    }

    /// Drops the runtime, with whatever is still on it.
    #[track_caller]
    pub(crate) fn close(self) {
        drop(self.stop);
        eventually(LIMIT, "the runtime is dropped", || self.thread.is_finished());
        self.thread.join().expect("dropping a runtime does not panic");
    }
}

/// Something that runs.
pub(crate) struct Started<T>(Receiver<T>);

impl<T> Started<T> {
    #[track_caller]
    pub(crate) fn wait(self) -> T {
        self.0.recv_timeout(LIMIT).expect("it ends in time, and without a panic")
    }
}

pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.acl = SessionACL::All;
    config
}

/// A session to be, that lets everybody in.
pub(crate) fn builder<S: Serve>(filesystem: S) -> AsyncSessionBuilder<S> {
    AsyncSessionBuilder::new(filesystem).config(&config())
}

/// A session that waits for its INIT.
pub(crate) fn connect<S: Serve>(
    stage: &Stage,
    builder: AsyncSessionBuilder<S>,
) -> (Kernel, Started<io::Result<AsyncSession<S>>>) {
    let (kernel, ours) = Kernel::connect();
    (kernel, stage.start(builder.from_fd(ours)))
}

/// A session that has had its INIT and is not run.
#[track_caller]
pub(crate) fn prepare<S: Serve>(
    stage: &Stage,
    builder: AsyncSessionBuilder<S>,
) -> (Kernel, AsyncSession<S>) {
    let (kernel, session) = connect(stage, builder);
    assert_eq!(kernel.init(45).error, 0);
    let session = session.wait().expect("a session");
    (kernel, session)
}

/// A session that runs.
#[track_caller]
pub(crate) fn begin<S: Serve>(
    stage: &Stage,
    builder: AsyncSessionBuilder<S>,
) -> (Kernel, AsyncBackgroundSession) {
    let (kernel, session) = prepare(stage, builder);
    (kernel, session.spawn())
}

/// Ends the connection, and panics unless the session ends well.
#[track_caller]
pub(crate) fn end(stage: &Stage, kernel: Kernel, session: AsyncBackgroundSession) {
    drop(kernel);
    stage.run(session.join()).expect("a clean end");
}

/// Tells that the caller of a request got a signal.
#[track_caller]
pub(crate) fn interrupt(kernel: &Kernel, unique: u64) {
    kernel.send_bytes(&request(INTERRUPT, unique | 1, 0, 0, &unique.to_ne_bytes()));
}

/// The next answer, which must be this one.
#[track_caller]
pub(crate) fn expect(kernel: &Kernel, unique: u64, error: i32) {
    let reply = kernel.receive();
    assert_eq!((reply.unique, reply.error), (unique, error), "{reply:?}");
}

/// Panics unless the next request is answered next, and so nothing else has been.
#[track_caller]
pub(crate) fn expect_silence(kernel: &Kernel) {
    for _ in 0..3 {
        assert_eq!(kernel.ask(STATFS, READY, &[]).error, 0);
    }
}

/// A filesystem whose methods are this function.
pub(crate) struct Does<F> {
    watch: Watch,
    call: F,
}

pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply<'a>>> + Send + 'a>>;

pub(crate) fn does<F>(call: F) -> (Does<F>, Watch)
where
    F: for<'a> Fn(&'a Watch, Operation<'a>) -> Answer<'a> + Send + Sync + 'static,
{
    let watch = Watch::default();
    (Does { watch: watch.clone(), call }, watch)
}

impl<F> Serve for Does<F>
where
    F: for<'a> Fn(&'a Watch, Operation<'a>) -> Answer<'a> + Send + Sync + 'static,
{
    async fn init(&mut self, _: &Request, _: &mut KernelConfig) -> io::Result<()> {
        Ok(())
    }

    fn serve<'a>(
        &'a self,
        operation: Operation<'a>,
    ) -> impl Future<Output = Result<Reply<'a>>> + Send {
        (self.call)(&self.watch, operation)
    }

    async fn destroy(&mut self) {
        assert_eq!(self.watch.running(), 0, "a method is running while `destroy` is");
        self.watch.0.destroying.fetch_add(1, Ordering::SeqCst);
        // As if there were something to be waited for.
        tokio::task::yield_now().await;
        self.watch.0.destroyed.fetch_add(1, Ordering::SeqCst);
    }
}

/// What waits where it is asked to, and answers everything else at once.
pub(crate) fn waits() -> (impl Serve, Watch) {
    does(|watch, op| {
        Box::pin(async move {
            if is_later(&op) {
                let inside = watch.enter();
                watch.pass().await;
                inside.leave();
            }
            at_once(&op)
        })
    })
}

pub(crate) fn is_later(op: &Operation<'_>) -> bool {
    node(op) == LATER
}

/// The inode a request names in its header.
pub(crate) fn node(op: &Operation<'_>) -> u64 {
    match op {
        Operation::Lookup(op) => op.parent.0,
        Operation::Forget(op) => op.ino.0,
        Operation::Getattr(op) => op.ino.0,
        Operation::Setattr(op) => op.ino.0,
        Operation::Statx(op) => op.ino.0,
        Operation::Readlink(op) => op.ino.0,
        Operation::Mknod(op) => op.parent.0,
        Operation::Mkdir(op) => op.parent.0,
        Operation::Unlink(op) => op.parent.0,
        Operation::Rmdir(op) => op.parent.0,
        Operation::Symlink(op) => op.parent.0,
        Operation::Rename(op) => op.parent.0,
        // The header's is the new directory.
        Operation::Link(op) => op.newparent.0,
        Operation::Open(op) => op.ino.0,
        Operation::Read(op) => op.ino.0,
        Operation::Write(op) => op.ino.0,
        Operation::Flush(op) => op.ino.0,
        Operation::Release(op) => op.ino.0,
        Operation::Fsync(op) => op.ino.0,
        Operation::Opendir(op) => op.ino.0,
        Operation::Readdir(op) => op.ino.0,
        Operation::Readdirplus(op) => op.ino.0,
        Operation::Releasedir(op) => op.ino.0,
        Operation::Fsyncdir(op) => op.ino.0,
        Operation::Statfs(op) => op.ino.0,
        Operation::Setxattr(op) => op.ino.0,
        Operation::Getxattr(op) => op.ino.0,
        Operation::Listxattr(op) => op.ino.0,
        Operation::Removexattr(op) => op.ino.0,
        Operation::Access(op) => op.ino.0,
        Operation::Create(op) => op.parent.0,
        Operation::Tmpfile(op) => op.parent.0,
        Operation::Getlk(op) => op.ino.0,
        Operation::Setlk(op) => op.ino.0,
        Operation::Bmap(op) => op.ino.0,
        Operation::Ioctl(op) => op.ino.0,
        Operation::Poll(op) => op.ino.0,
        Operation::Fallocate(op) => op.ino.0,
        Operation::Lseek(op) => op.ino.0,
        Operation::CopyFileRange(op) => op.ino_in.0,
        Operation::Syncfs(op) => op.ino.0,
        // A batch names none.
        _ => 0,
    }
}

/// Success for what there is no more to say to, statistics for a fence, `EDOM` for the rest.
pub(crate) fn at_once(op: &Operation<'_>) -> Result<Reply<'static>> {
    match op {
        Operation::Statfs(_) => Ok(Reply::Statfs(Statfs::default())),
        Operation::Forget(_)
        | Operation::BatchForget(_)
        | Operation::Release(_)
        | Operation::Releasedir(_) => Ok(Reply::Empty(())),
        _ => Err(Errno::EDOM),
    }
}

/// What happens inside a filesystem, and a gate that its methods wait at.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<State>);

struct State {
    gate: Semaphore,
    entered: AtomicUsize,
    left: AtomicUsize,
    dropped: AtomicUsize,
    peak: AtomicUsize,
    noted: Mutex<Vec<String>>,
    destroying: AtomicUsize,
    destroyed: AtomicUsize,
    is_unblocked: (Mutex<bool>, Condvar),
}

impl Default for State {
    fn default() -> Self {
        Self {
            gate: Semaphore::new(0),
            entered: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            noted: Mutex::default(),
            destroying: AtomicUsize::new(0),
            destroyed: AtomicUsize::new(0),
            is_unblocked: Default::default(),
        }
    }
}

impl Watch {
    /// A method begins what it may be dropped in.
    pub(crate) fn enter(&self) -> Inside {
        self.0.entered.fetch_add(1, Ordering::SeqCst);
        self.0.peak.fetch_max(self.running(), Ordering::SeqCst);
        Inside(Some(self.clone()))
    }

    /// Waits at the gate.
    pub(crate) async fn pass(&self) {
        self.0.gate.acquire().await.expect("the gate is never closed").forget();
    }

    /// Lets so many pass the gate, now or later.
    pub(crate) fn let_pass(&self, number: usize) {
        self.0.gate.add_permits(number);
    }

    /// Blocks the thread.
    pub(crate) fn block(&self) {
        let (unblocked, changed) = &self.0.is_unblocked;
        drop(changed.wait_while(unblocked.lock().unwrap(), |unblocked| !*unblocked).unwrap());
    }

    pub(crate) fn unblock(&self) {
        *self.0.is_unblocked.0.lock().unwrap() = true;
        self.0.is_unblocked.1.notify_all();
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.noted.lock().unwrap().push(what.into());
    }

    pub(crate) fn noted(&self) -> Vec<String> {
        self.0.noted.lock().unwrap().clone()
    }

    pub(crate) fn entered(&self) -> usize {
        self.0.entered.load(Ordering::SeqCst)
    }

    pub(crate) fn left(&self) -> usize {
        self.0.left.load(Ordering::SeqCst)
    }

    pub(crate) fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::SeqCst)
    }

    /// How many were inside at the same time, at most.
    pub(crate) fn peak(&self) -> usize {
        self.0.peak.load(Ordering::SeqCst)
    }

    pub(crate) fn destroyed(&self) -> usize {
        self.0.destroyed.load(Ordering::SeqCst)
    }

    fn running(&self) -> usize {
        let ended = self.left() + self.dropped();
        self.entered() - ended
    }

    #[track_caller]
    pub(crate) fn wait_for_entered(&self, number: usize) {
        eventually(LIMIT, &format!("{number} methods have begun"), || self.entered() == number);
    }

    #[track_caller]
    pub(crate) fn wait_for_dropped(&self, number: usize) {
        eventually(LIMIT, &format!("{number} methods are dropped"), || self.dropped() == number);
    }

    #[track_caller]
    pub(crate) fn wait_for_note(&self, what: &str) {
        eventually(LIMIT, what, || self.noted().iter().any(|noted| noted == what));
    }

    /// How often `destroy` was polled for the first time.
    pub(crate) fn destroying(&self) -> usize {
        self.0.destroying.load(Ordering::SeqCst)
    }

    #[track_caller]
    pub(crate) fn wait_for_destroy(&self) {
        eventually(LIMIT, "it is destroyed", || self.destroyed() == 1);
    }
}

/// A method at work. Dropped without [`leave`](Self::leave), it was dropped with its method.
pub(crate) struct Inside(Option<Watch>);

impl Inside {
    pub(crate) fn leave(mut self) {
        if let Some(watch) = self.0.take() {
            watch.0.left.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(watch) = &self.0 {
            watch.0.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// All defaults.
pub(crate) struct Nothing;

impl AsyncFilesystem for Nothing {}
