//! Every operation on every engine: one filesystem with both faces gets the same system calls on
//! each. What they come to, the requests it sees and the answers it gives must be those of the
//! synchronous engine with one thread.

#![cfg(target_os = "linux")]
#![allow(dead_code, reason = "of what is shared with the differential tests some is theirs alone")]

#[path = "differential/common.rs"]
mod common;
#[path = "differential/script.rs"]
mod script;
#[path = "differential/state.rs"]
mod state;
#[path = "differential/sys.rs"]
mod sys;
#[path = "operations/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_fuser as fuser;
use async_fuser::lib_async::{AsyncSessionBuilder, Serve};
use async_fuser::{Config, InitFlags, Operations, Session, SessionACL};
use nix::fcntl::{AT_FDCWD, AtFlags, FcntlArg, OFlag, fcntl};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::linkat;
use tests::{Mountpoint, eventually, run, within};
use tokio::runtime::Builder;

use script::Script;
use world::{Async, Macro, Options, Sync, World};

/// What serves the filesystem.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Engine {
    /// So many threads, with a descriptor each or one for all.
    Sync { threads: usize, clone_fd: bool },
    /// So many readers, on a runtime with so many workers: none is the current thread.
    Async { readers: usize, workers: usize },
    /// The same, by the attribute macro, on the current thread.
    Macro,
}

const ENGINES: &[Engine] = &[
    Engine::Sync { threads: 1, clone_fd: false },
    Engine::Sync { threads: 4, clone_fd: true },
    Engine::Async { readers: 1, workers: 0 },
    Engine::Async { readers: 1, workers: 2 },
    Engine::Async { readers: 4, workers: 2 },
    Engine::Async { readers: 4, workers: 0 },
    Engine::Macro,
];

/// What the kernel does not ask of a mount without a block device.
const OF_BLOCK_DEVICES: &[&str] = &["bmap", "syncfs"];

impl Engine {
    /// Whether one request is served after the other, in the order in which they come.
    fn keeps_order(self, options: Options) -> bool {
        !options.later
            && matches!(
                self,
                Self::Sync { threads: 1, .. } | Self::Async { readers: 1, .. } | Self::Macro
            )
    }

    /// Serves a filesystem until it is unmounted.
    fn serve(self, world: &Arc<World>, origin: Origin) -> Served {
        let (world, mut config) = (world.clone(), Config::default());
        config.acl = SessionACL::All;
        let (ready, is_ready) = mpsc::channel();
        let session = thread::spawn(move || match self {
            Self::Sync { threads, clone_fd } => {
                config.n_threads = Some(threads);
                config.clone_fd = clone_fd;
                let session = match origin {
                    Origin::Path(path) => Session::new(Sync(world), path, &config),
                    Origin::Device(fd) => Session::from_fd(Sync(world), fd, config.acl, config),
                };
                let session = session?;
                ready.send(()).expect("somebody waits");
                session.run()
            }
            Self::Async { readers, workers } => {
                config.n_threads = Some(readers);
                serve_async(Async(world), &config, workers, origin, &ready)
            }
            Self::Macro => serve_async(Macro(world), &config, 0, origin, &ready),
        });
        if is_ready.recv().is_err() {
            panic!("{self:?} does not mount: {:?}", session.join().expect("no panic"));
        }
        Served(session)
    }
}

fn serve_async(
    filesystem: impl Serve,
    config: &Config,
    workers: usize,
    origin: Origin,
    ready: &mpsc::Sender<()>,
) -> io::Result<()> {
    let mut runtime = match workers {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = runtime.worker_threads(workers.max(1)).enable_all().build()?;
    runtime.block_on(async {
        let builder = AsyncSessionBuilder::new(filesystem).config(config);
        let session = match origin {
            Origin::Path(path) => builder.mount(path).await?,
            Origin::Device(fd) => builder.from_fd(fd).await?,
        };
        ready.send(()).expect("somebody waits");
        session.run().await
    })
}

enum Origin {
    Path(std::path::PathBuf),
    Device(OwnedFd),
}

/// A session on a thread of its own.
struct Served(JoinHandle<io::Result<()>>);

impl Served {
    /// Unmounts it, and waits for its end.
    #[track_caller]
    fn end(self, at: &Path) {
        umount2(at, MntFlags::MNT_DETACH).expect("an unmount");
        eventually(Duration::from_secs(20), "the session ends", || self.0.is_finished());
        self.0.join().expect("no panic").expect("a clean end");
    }
}

/// What a script came to with one engine.
#[derive(Debug)]
struct Came {
    results: Vec<String>,
    requests: Vec<String>,
    seen: BTreeSet<&'static str>,
}

fn came_to(engine: Engine, options: Options, script: impl FnOnce(&mut Script<'_>)) -> Came {
    let at = Mountpoint::new();
    let world = World::new(options);
    let served = engine.serve(&world, Origin::Path(at.path().to_owned()));
    let mut calls = Script::new(at.path(), &world.trace);
    script(&mut calls);
    let results = calls.into_log();
    // What the kernel remembers is all it was told of, and all is taken back.
    eventually(Duration::from_secs(30), "all is forgotten", || {
        fs::write("/proc/sys/vm/drop_caches", "2").expect("root may");
        thread::sleep(Duration::from_millis(10));
        world.trace.remembered() == 0
    });
    served.end(at.path());
    let seen = world.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let requests = world.trace.lines();
    assert_eq!(requests.first().map(String::as_str), Some("init"), "{engine:?}");
    assert_eq!(requests.last().map(String::as_str), Some("destroy"), "{engine:?}");
    Came { results, requests, seen }
}

/// Runs a script on every engine, with answers at once and later, and asserts that all come to the
/// same. Returns what they came to.
#[track_caller]
fn on_every_engine(
    capabilities: InitFlags,
    ttl: Duration,
    script: impl Fn(&mut Script<'_>) + Send + 'static,
) -> Vec<Came> {
    // Somebody may have the kernel forget what it was to cache, and then it asks again. What is
    // wrong with an engine is so each time.
    let is_cached = !ttl.is_zero();
    let attempts = if is_cached { 3 } else { 1 };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    within(Duration::from_secs(240), move || {
        let mut all: Vec<Came> = Vec::new();
        // Of a cache the time of an answer makes no difference.
        for later in [false, true].into_iter().take(if is_cached { 1 } else { 2 }) {
            for engine in ENGINES {
                let options = Options { later, capabilities, ttl };
                let what = format!("{engine:?}, later: {later}");
                let came = (1..=attempts).find_map(|attempt| {
                    let came = came_to(*engine, options, &script);
                    let Some(first) = all.first() else { return Some(came) };
                    let keeps_order = engine.keeps_order(options);
                    let difference = [
                        difference(&came.results, &first.results, true),
                        difference(&came.requests, &first.requests, keeps_order),
                    ]
                    .concat();
                    if difference.is_empty() {
                        return Some(came);
                    }
                    eprintln!("{what}, attempt {attempt}: {difference}");
                    None
                });
                let came = came.unwrap_or_else(|| panic!("{what}: not the same as the first"));
                println!("{what}: {} calls, {} requests", came.results.len(), came.requests.len());
                all.push(came);
            }
        }
        all
    })
}

/// One test at a time: they have the kernel forget what it caches, or start programs, upon which every
/// descriptor of this process is there twice for a moment and is released later.
static ALONE: Mutex<()> = Mutex::new(());

/// The first lines that differ, with those before; nothing if none do.
fn difference(came: &[String], expected: &[String], keeps_order: bool) -> String {
    let [mut came, mut expected] = [came, expected].map(<[String]>::to_vec);
    if !keeps_order {
        came.sort();
        expected.sort();
    }
    if came == expected {
        return String::new();
    }
    let same = came.iter().zip(&expected).take_while(|(came, expected)| came == expected).count();
    let from = same.saturating_sub(3);
    let some = |lines: &[String]| {
        lines[from..].iter().take(8).map(|line| format!("  {line:.400}\n")).collect::<String>()
    };
    format!(
        "{} and {} lines, which differ from line {same} on:\n{}expected:\n{}",
        came.len(),
        expected.len(),
        some(&came),
        some(&expected)
    )
}

#[test]
fn every_operation_comes_to_the_same_on_every_engine() {
    tests::sys::catch(libc::SIGUSR1).expect("a handler");
    let locks = InitFlags::FUSE_POSIX_LOCKS | InitFlags::FUSE_FLOCK_LOCKS;
    let plain = on_every_engine(locks | InitFlags::FUSE_HAS_IOCTL_DIR, Duration::ZERO, |script| {
        script.everything();
        script.beyond();
    });
    assert!(plain[0].results.len() > 900, "{} system calls", plain[0].results.len());
    assert!(plain[0].requests.len() > 1500, "{} requests", plain[0].requests.len());
    let plus = on_every_engine(InitFlags::FUSE_DO_READDIRPLUS, Duration::ZERO, |script| {
        script.directories();
        script.names();
    });
    let forgets = ["forget", "batch_forget"];
    for (plain, plus) in plain.iter().zip(&plus) {
        let seen: BTreeSet<_> = plain.seen.union(&plus.seen).copied().chain(forgets).collect();
        let expected: BTreeSet<_> =
            Operations::ALL.names().filter(|name| !OF_BLOCK_DEVICES.contains(name)).collect();
        assert_eq!(seen, expected, "a new operation needs a call here that leads to it");
    }
    // Which of the two it is depends on how many the kernel has at a time.
    for forget in forgets {
        assert!(plain.iter().chain(&plus).any(|came| came.seen.contains(forget)), "{forget}");
    }
}

#[test]
fn everything_comes_to_the_same_where_the_kernel_may_cache() {
    on_every_engine(InitFlags::empty(), Duration::from_secs(86_400), |script| {
        script.everything();
    });
}

/// Served for a mount with a block device under it, for which alone the kernel asks some.
#[test]
fn the_operations_of_block_devices_come_to_the_same_on_every_engine() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    within(Duration::from_secs(120), || {
        let image = tempfile::NamedTempFile::new().expect("a file");
        image.as_file().set_len(1 << 20).expect("its size");
        let device = LoopDevice::new(image.path());
        let mut first: Option<(Vec<String>, Vec<String>)> = None;
        for later in [false, true] {
            for engine in ENGINES {
                let at = Mountpoint::new();
                let options =
                    Options { later, capabilities: InitFlags::empty(), ttl: Duration::ZERO };
                let world = World::new(options);
                let fuse = File::options().read(true).write(true).open("/dev/fuse").expect("fuse");
                let fuse = OwnedFd::from(fuse);
                let data = format!(
                    "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,blksize=512",
                    fuse.as_raw_fd()
                );
                let kind = Some("fuseblk");
                mount(Some(&*device.0), at.path(), kind, MsFlags::empty(), Some(&*data))
                    .unwrap_or_else(|error| panic!("fuseblk on {}: {error}", device.0));
                let served = engine.serve(&world, Origin::Device(fuse));
                let mut script = Script::new(at.path(), &world.trace);
                script.file("file", &[b'x'; 3000]);
                let fd = script.open("file", OFlag::O_RDWR, 0);
                if let Some(fd) = &fd {
                    for block in [0, 1, 5] {
                        let mapped = bmap(fd, block);
                        script.did(format!("FIBMAP {block}"), mapped);
                    }
                    let synced = sys::syncfs(fd.as_fd());
                    script.did("syncfs", synced);
                }
                script.close(fd);
                let results = script.into_log();
                served.end(at.path());
                let seen = world.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
                assert!(seen.contains("bmap"), "{engine:?}: {seen:?}");
                let requests = world.trace.lines();
                match &first {
                    Some((first_results, first_requests)) => {
                        let keeps_order = engine.keeps_order(options);
                        let difference = [
                            difference(&results, first_results, true),
                            difference(&requests, first_requests, keeps_order),
                        ]
                        .concat();
                        assert!(difference.is_empty(), "{engine:?}, {later}: {difference}");
                    }
                    None => {
                        println!("syncfs reaches the filesystem: {}", seen.contains("syncfs"));
                        first = Some((results, requests));
                    }
                }
            }
        }
    });
}

/// A block device whose blocks are a file's.
struct LoopDevice(String);

impl LoopDevice {
    #[track_caller]
    fn new(image: &Path) -> Self {
        let made = run("losetup").args(["--find", "--show"]).arg(image).output();
        assert!(
            made.succeeded(),
            "this test needs a block device that nobody uses, and losetup makes none: {} (give a \
             container '--privileged', or load the module with 'modprobe loop')",
            made.stderr
        );
        Self(made.stdout.trim().to_owned())
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = run("losetup").args(["--detach", &self.0]).output();
    }
}

/// `FIBMAP`: where on its device a file's block is.
fn bmap(fd: &OwnedFd, block: i32) -> nix::Result<i32> {
    const FIBMAP: libc::Ioctl = 1;
    let mut block = block;
    // SAFETY: this ioctl reads and writes one int.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), FIBMAP, &raw mut block) };
    nix::errno::Errno::result(done).map(|_| block)
}

impl Script<'_> {
    /// What fuser does not have, and interrupts.
    fn beyond(&mut self) {
        self.mkdir("beyond");
        let fd = self.open("beyond", OFlag::O_TMPFILE | OFlag::O_RDWR, 0o640);
        if let Some(fd) = &fd {
            self.write(fd, b"nameless");
            self.pread(fd, 100, 0);
            self.fstat(fd);
            let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
            let named = self.at("beyond/named");
            let result = linkat(AT_FDCWD, &*path, AT_FDCWD, &named, AtFlags::AT_SYMLINK_FOLLOW);
            self.did("linkat of a file without a name", result);
        }
        self.close(fd);
        self.stat("beyond/named");
        let born = sys::statx_btime(&self.at("beyond/named"));
        self.did("statx with btime", born);
        self.interrupted_lock();
    }

    /// Who waits for a lock and gets a signal waits no more, and does not get the lock later.
    fn interrupted_lock(&mut self) {
        self.file("beyond/lock", b"0123456789");
        let [a, b] = [0, 1].map(|_| self.open("beyond/lock", OFlag::O_RDWR, 0));
        let (Some(a), Some(b)) = (a, b) else { return };
        let b = &b;
        let (write, none) =
            (script::range(libc::F_WRLCK, 0, 0), script::range(libc::F_UNLCK, 0, 0));
        let taken = fcntl(&a, FcntlArg::F_OFD_SETLK(&write));
        self.did("F_OFD_SETLK a", taken);
        let (trace, before) = (self.trace.clone(), self.trace.len());
        let waits = thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            let waits = scope.spawn(move || {
                tell.send(tests::sys::thread_id()).expect("somebody waits");
                fcntl(b, FcntlArg::F_OFD_SETLKW(&write))
            });
            let thread = told.recv().expect("its number");
            eventually(Duration::from_secs(20), "the lock is waited for", || {
                trace.lines()[before..].iter().any(|line| line.contains("later"))
            });
            eventually(Duration::from_secs(20), "a signal ends the wait", || {
                // It may have ended by now.
                let _ = tests::sys::signal_thread(thread, libc::SIGUSR1);
                thread::sleep(Duration::from_millis(5));
                waits.is_finished()
            });
            waits.join().expect("no panic")
        });
        self.did("F_OFD_SETLKW b, interrupted", waits);
        let given = fcntl(&a, FcntlArg::F_OFD_SETLK(&none));
        self.did("F_OFD_SETLK a gives way", given);
        let again = fcntl(&a, FcntlArg::F_OFD_SETLK(&write));
        self.did("F_OFD_SETLK a again", again);
        self.close(Some(a));
    }
}
