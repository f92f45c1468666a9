//! In its steady state the asynchronous engine allocates nothing for a request that is ready, and
//! one task for a request that waits. A socket stands for `/dev/fuse`, so that nothing but the engine
//! and its runtime is on the thread that is counted.

#![cfg(target_os = "linux")]

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use async_fuser::lib_async::*;
use async_fuser::*;
use tests::opcode::*;
use tests::{Allocations, Counting, Kernel, eventually, request};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn what_is_ready_allocates_nothing() {
    on_both(|Scene { kernel, allocations, .. }| {
        let data = [&words_of(&[0, 0, 0, 0, 100_000, 0, 0, 0, 0, 0])[..], &[7; 100_000]].concat();
        let read = |size| words_of(&[0, 0, 0, 0, size, 0, 0, 0, 0, 0]);
        let asked = ANSWERED
            .iter()
            .filter(|&&opcode| opcode != READLINK)
            .map(|&opcode| (opcode, valid(opcode)));
        let more = [
            (READ, read(4096)),
            (READ, read(128 << 10)),
            (READDIR, read(4096)),
            (READDIRPLUS, read(4096)),
            (WRITE, data),
            (GETXATTR, [&words_of(&[100, 0])[..], b"user.x\0"].concat()),
            (LISTXATTR, words_of(&[0, 0])),
            (IOCTL, words_of(&[0, 0, 0, 0x4711, 0, 0, 0, 100])),
            // What is broken, and what nobody knows.
            (READ, vec![0; 39]),
            (4711, Vec::new()),
        ];
        for (opcode, body) in asked.chain(more) {
            let serve = |times| {
                for _ in 0..times {
                    kernel.ask(opcode, READY, &body);
                    // Nobody answers these.
                    kernel.send(FORGET, READY, &[0; 8]);
                    kernel.send(BATCH_FORGET, READY, &words_of(&[1, 0, 7, 0, 1, 0]));
                    kernel.send_bytes(&request(INTERRUPT, 1, 0, 0, &u64::MAX.to_ne_bytes()));
                }
                kernel.ask(STATFS, READY, &[]);
            };
            // The first brings the memory that is kept.
            serve(70);
            let before = allocations.number();
            serve(200);
            assert_eq!(allocations.number() - before, 0, "opcode {opcode}, {} bytes", body.len());
        }
    });
}

#[test]
fn what_waits_allocates_its_task_and_nothing_else() {
    const AT_ONCE: usize = 100;
    on_both(|Scene { kernel, allocations, gate, runtime }| {
        let large = [&words_of(&[0, 0, 0, 0, 9000, 0, 0, 0, 0, 0])[..], &[7; 9000]].concat();
        for (opcode, body, at_once) in
            [(READ, vec![0; 40], AT_ONCE), (LOOKUP, b"name\0".to_vec(), AT_ONCE), (WRITE, large, 1)]
        {
            let serve = || {
                for _ in 0..at_once {
                    kernel.send(opcode, LATER, &body);
                }
                // One after the other is read, so that all wait by now.
                kernel.ask(STATFS, READY, &[]);
                gate.add_permits(at_once);
                for _ in 0..at_once {
                    kernel.receive();
                }
                // What they were served with is put away behind their answers.
                let tasks = || runtime.metrics().num_alive_tasks();
                eventually(LIMIT, "their tasks have ended", || tasks() == TASKS);
            };
            // Tables that grow do so in the first rounds.
            for _ in 0..30 {
                serve();
            }
            let before = allocations.number();
            for _ in 0..20 {
                serve();
            }
            let each = (allocations.number() - before) as f64 / (20 * at_once) as f64;
            assert_eq!(each, 1.0, "allocations for each of opcode {opcode}");
        }
    });
}

#[test]
fn what_waits_holds_little_memory() {
    const REQUESTS: usize = 1000;
    const BYTES: u64 = 6 << 10;
    on_both(|Scene { kernel, allocations, gate, .. }| {
        let before = allocations.bytes();
        for _ in 0..REQUESTS {
            // The answer may become large, but is not there yet.
            kernel.send(READ, LATER, &words_of(&[0, 0, 0, 0, 128 << 10, 0, 0, 0, 0, 0]));
        }
        kernel.ask(STATFS, READY, &[]);
        let each = (allocations.bytes() - before) / REQUESTS as u64;
        println!("{each} bytes for a request that waits");
        assert!(each < BYTES, "{each} bytes for a request that waits");
        for _ in 0..REQUESTS {
            // All answers at once would be too much for a socket.
            gate.add_permits(1);
            kernel.receive();
        }
    });
}

#[test]
fn the_attribute_adds_none() {
    serving(ByAttribute, |Scene { kernel, allocations, gate, .. }| {
        let read = words_of(&[0, 0, 0, 0, 4096, 0, 0, 0, 0, 0]);
        let asked = [
            (LOOKUP, b"name\0".to_vec()),
            (GETATTR, valid(GETATTR)),
            (OPEN, valid(OPEN)),
            (READ, read.clone()),
            (WRITE, valid(WRITE)),
            (GETXATTR, [&words_of(&[100, 0])[..], b"user.x\0"].concat()),
            (READDIR, read),
            (UNLINK, b"name\0".to_vec()),
            (FLUSH, valid(FLUSH)),
        ];
        // None of this waits.
        gate.add_permits(1);
        for (opcode, body) in asked {
            let serve = |times| {
                for _ in 0..times {
                    assert_eq!(kernel.ask(opcode, READY, &body).error, 0, "opcode {opcode}");
                }
            };
            serve(70);
            let before = allocations.number();
            serve(200);
            assert_eq!(allocations.number() - before, 0, "opcode {opcode}");
        }
    });
}

#[test]
fn what_a_method_allocates_is_seen() {
    on_both(|Scene { kernel, allocations, .. }| {
        kernel.ask(READLINK, READY, &[]);
        let before = allocations.number();
        for _ in 0..10 {
            kernel.ask(READLINK, READY, &[]);
        }
        assert_eq!(allocations.number() - before, 10);
    });
}

/// A session in its steady state, seen from the kernel.
struct Scene {
    kernel: Kernel,
    /// What the one thread that serves has allocated.
    allocations: &'static Allocations,
    /// What is asked of [`LATER`] waits here.
    gate: Arc<Semaphore>,
    runtime: Handle,
}

/// Of these nodes the first is ready.
const READY: u64 = 1;
const LATER: u64 = 2;
/// The session and its reader.
const TASKS: usize = 2;
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test on both kinds of runtime, each with one thread that serves.
fn on_both(test: impl Fn(&Scene)) {
    serving(Answers, test);
}

/// As [`on_both`], with a filesystem that waits at the gate.
fn serving<S: Serve>(filesystem: impl Fn(Arc<Semaphore>) -> S, test: impl Fn(&Scene)) {
    for is_multi_thread in [false, true] {
        println!("on a runtime of {}", if is_multi_thread { "several threads" } else { "one" });
        let allocations: &'static Allocations = Box::leak(Box::default());
        let (started, handle) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let mut builder = if is_multi_thread {
                let mut builder = Builder::new_multi_thread();
                builder.worker_threads(1).on_thread_start(move || {
                    let _is_first = Counting::count_here(allocations);
                });
                builder
            } else {
                Counting::count_here(allocations);
                Builder::new_current_thread()
            };
            let runtime = builder.enable_all().build().expect("a runtime");
            started.send(runtime.handle().clone()).expect("the test waits for it");
            // An error says that the test has panicked.
            let _ = runtime.block_on(stopped);
        });
        let runtime = handle.recv_timeout(LIMIT).expect("a runtime");
        let gate = Arc::new(Semaphore::new(0));
        let (kernel, ours) = Kernel::connect();
        let mut config = Config::default();
        config.acl = SessionACL::All;
        let session = AsyncSessionBuilder::new(filesystem(gate.clone())).config(&config);
        let session = runtime.spawn(async move { Ok(session.from_fd(ours).await?.spawn()) });
        assert_eq!(kernel.init(45).error, 0);
        let (begun, session_begun) = mpsc::channel();
        runtime.spawn(async move { begun.send(session.await) });
        let session: std::io::Result<_> =
            session_begun.recv_timeout(LIMIT).expect("in time").expect("no panic");
        let session = session.expect("a session");
        let tasks = || runtime.metrics().num_alive_tasks();
        eventually(LIMIT, "nothing but the session is there", || tasks() == TASKS);
        let scene = Scene { kernel, allocations, gate, runtime: runtime.clone() };
        test(&scene);
        drop(scene);
        eventually(LIMIT, "the session ends", || runtime.metrics().num_alive_tasks() == 0);
        drop((session, stop));
        thread.join().expect("no panic");
    }
}

/// Answers everything at once, but what is asked of [`LATER`].
struct Answers(Arc<Semaphore>);

const TTL: Duration = Duration::from_secs(1);
const BYTES: &[u8] = b"user.name\0";

fn attr(ino: INodeNo) -> FileAttr {
    FileAttr::new(ino, FileType::RegularFile, 0o644).with_size(4096)
}

/// Answers by the attribute, with types that are converted.
struct ByAttribute(Arc<Semaphore>);

#[fuse_filesystem(ttl = "1s")]
impl ByAttribute {
    async fn lookup(&self, name: &str) -> std::io::Result<Option<FileAttr>> {
        let _open = self.0.acquire().await;
        Ok((name == "name").then(|| attr(INodeNo(7))))
    }

    fn getattr(&self, ino: u64) -> Result<FileAttr> {
        Ok(attr(INodeNo(ino)))
    }

    fn open(&self) -> Result<u64> {
        Ok(7)
    }

    fn read(&self, buf: &mut [u8]) -> Result<usize> {
        buf.fill(b'x');
        Ok(buf.len())
    }

    fn write(&self, data: &[u8]) -> Result<usize> {
        Ok(data.len())
    }

    fn getxattr(&self) -> Result<&[u8]> {
        Ok(BYTES)
    }

    fn readdir(&self, offset: u64, listing: &mut Listing) -> Result<()> {
        if offset == 0 {
            let _is_full = listing.add(INodeNo(7), 1, FileType::RegularFile, "name");
        }
        Ok(())
    }

    fn unlink(&self, parent: u64, name: &std::ffi::OsStr) -> Result<()> {
        if parent == READY && name == "name" { Ok(()) } else { Err(Errno::ENOENT) }
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}

impl Answers {
    async fn wait(&self, ino: INodeNo) {
        if ino.0 == LATER {
            self.0.acquire().await.expect("it is never closed").forget();
        }
    }
}

impl AsyncFilesystem for Answers {
    async fn lookup(&self, op: op::Lookup<'_>) -> Result<Entry> {
        self.wait(op.parent).await;
        Ok(Entry::new(attr(INodeNo(7)), TTL))
    }

    async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
        Ok(Attr::new(attr(op.ino), TTL))
    }

    async fn setattr(&self, op: op::Setattr<'_>) -> Result<Attr> {
        Ok(Attr::new(attr(op.ino), TTL))
    }

    async fn statx(&self, op: op::Statx<'_>) -> Result<Statx> {
        Ok(Statx::new(attr(op.ino), TTL))
    }

    /// Wasteful, to see that it is seen.
    async fn readlink(&self, _: op::Readlink<'_>) -> Result<Data<'_>> {
        Ok(BYTES.to_vec().into())
    }

    async fn unlink(&self, _: op::Unlink<'_>) -> Result<()> {
        Ok(())
    }

    async fn open(&self, _: op::Open<'_>) -> Result<Opened> {
        Ok(Opened::new(FileHandle(7)))
    }

    async fn read(&self, op: op::Read<'_>) -> Result<Data<'_>> {
        self.wait(op.ino).await;
        Ok(ReadBuffer::new(&op).into())
    }

    async fn write(&self, op: op::Write<'_>) -> Result<Written> {
        self.wait(op.ino).await;
        Ok(Written(op.data.len() as u64))
    }

    async fn readdir(&self, op: op::Readdir<'_>) -> Result<Listing> {
        let mut listing = Listing::new(&op);
        let mut next = 1;
        while !listing.add(INodeNo(7), next, FileType::RegularFile, "name") {
            next += 1;
        }
        Ok(listing)
    }

    async fn readdirplus(&self, op: op::Readdirplus<'_>) -> Result<ListingPlus> {
        let mut listing = ListingPlus::new(&op);
        let mut next = 1;
        while !listing.add(next, "name", &Entry::new(attr(INodeNo(7)), TTL)) {
            next += 1;
        }
        Ok(listing)
    }

    async fn getxattr(&self, _: op::Getxattr<'_>) -> Result<Xattr<'_>> {
        Ok(Xattr::new(BYTES))
    }

    async fn listxattr(&self, _: op::Listxattr<'_>) -> Result<Xattr<'_>> {
        Ok(Xattr::new(BYTES))
    }

    async fn create(&self, _: op::Create<'_>) -> Result<Created> {
        Ok(Created::new(attr(INodeNo(7)), TTL, Opened::new(FileHandle(7))))
    }

    async fn getlk(&self, op: op::Getlk<'_>) -> Result<Lock> {
        Ok(Lock { start: op.start, end: op.end, typ: op.typ, pid: op.pid })
    }

    async fn ioctl(&self, _: op::Ioctl<'_>) -> Result<Ioctl<'_>> {
        Ok(Ioctl::new(7).with_data(BYTES))
    }

    async fn poll(&self, _: op::Poll<'_>) -> Result<Poll> {
        Ok(Poll(PollEvents::POLLIN))
    }

    async fn lseek(&self, op: op::Lseek<'_>) -> Result<Offset> {
        Ok(Offset(op.offset))
    }
}
