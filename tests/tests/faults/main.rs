//! What goes wrong with a real mount, one sentence each.

#![cfg(target_os = "linux")]

mod access;
mod asynchronous;
mod data;
mod ending;
mod methods;
mod mounting;
mod processes;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_fuser::{Config, SessionACL};
use tests::{Engine, Mountpoint, ProbeOptions, Running, Serving, Watch, eventually, helper, run};

/// How long a test may take before it is called off.
const MINUTE: Duration = Duration::from_secs(60);
/// How long something may take that takes no time.
const SOON: Duration = Duration::from_secs(10);

/// A probe mounted by this process.
struct Mounted {
    session: Serving,
    watch: Watch,
    // Dropped last, and detaches what is left.
    at: Mountpoint,
}

impl Mounted {
    #[track_caller]
    fn new(options: ProbeOptions, engine: impl Into<Engine>) -> Self {
        let at = Mountpoint::new();
        let (session, watch) = engine.into().spawn(options, &at);
        let session = session.expect("a mount");
        at.connection();
        Self { session, watch, at }
    }

    #[track_caller]
    fn plain() -> Self {
        Self::new(ProbeOptions::default(), &Config::default())
    }

    fn join(&self, name: &str) -> PathBuf {
        self.at.join(name)
    }

    fn open(&self, name: &str) -> File {
        File::open(self.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Panics unless the session ends soon, well, and with nothing left mounted.
    #[track_caller]
    fn assert_ends(self) {
        let Self { session, watch, at } = self;
        eventually(SOON, "the session ends", || session.is_finished());
        session.join().expect("a clean end");
        watch.assert_ended_well();
        assert!(!at.is_mounted(), "{:?}", at.mounts());
    }
}

/// A probe mounted by a process of its own, which is ready.
#[track_caller]
fn daemon(at: &Mountpoint, args: &[&str]) -> Running {
    let mut daemon = run(helper("probe_daemon")).arg(at.path()).args(args).start();
    daemon.wait_for("ready", SOON);
    at.connection();
    daemon
}

/// Threads that use a filesystem until they are told to stop or get an error.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<usize>>>,
}

impl Load {
    fn on(at: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..4)
            .map(|i| {
                let (stop, at) = (stop.clone(), at.to_owned());
                thread::spawn(move || {
                    let mut rounds = 0;
                    while !stop.load(Ordering::Relaxed) {
                        one_round(&at, i)?;
                        rounds += 1;
                    }
                    Ok(rounds)
                })
            })
            .collect();
        Self { stop, threads }
    }

    /// How many rounds were done, or the first error, once all have ended as they are told to.
    #[track_caller]
    fn end(self) -> io::Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.cut_off()
    }

    /// As [`end`](Self::end), but all have to end by themselves.
    #[track_caller]
    fn cut_off(self) -> io::Result<usize> {
        eventually(SOON, "everybody who used the filesystem ends", || {
            self.threads.iter().all(JoinHandle::is_finished)
        });
        let mut rounds = 0;
        let ended: Vec<_> = self.threads.into_iter().map(|t| t.join().expect("no panic")).collect();
        for ended in ended {
            rounds += ended?;
        }
        Ok(rounds)
    }
}

fn one_round(at: &Path, i: usize) -> io::Result<()> {
    use std::os::unix::fs::FileExt;

    let direct = File::options().read(true).write(true).open(at.join("direct"))?;
    let (mine, text) = (i as u64 * 100_000, vec![b'0' + i as u8; 70_000]);
    direct.write_all_at(&text, mine)?;
    let mut back = vec![0; 70_000];
    direct.read_exact_at(&mut back, mine)?;
    assert!(back == text, "what was written comes back");
    let listed: Vec<_> = fs::read_dir(at.join("many"))?.collect::<Result<_, _>>()?;
    assert_eq!(listed.len(), 3);
    fs::metadata(at.join("plain"))?;
    fs::read(at.join("later"))?;
    Ok(())
}

/// Reads a file in a thread.
fn reading(path: PathBuf) -> JoinHandle<io::Result<Vec<u8>>> {
    thread::spawn(move || fs::read(path))
}

/// What a read of an open file comes to.
fn read_on(file: &mut File) -> io::Result<usize> {
    file.read(&mut [0; 100])
}

#[track_caller]
fn assert_errno<T: std::fmt::Debug>(result: io::Result<T>, errnos: &[i32]) {
    let error = result.expect_err("an error");
    assert!(
        error.raw_os_error().is_some_and(|errno| errnos.contains(&errno)),
        "{error} is none of {errnos:?}"
    );
}

fn with_acl(acl: SessionACL) -> Config {
    let mut config = Config::default();
    config.acl = acl;
    config
}

/// What a caller gets whose connection is gone.
const CUT_OFF: &[i32] = &[libc::ENOTCONN, libc::ECONNABORTED, libc::EIO];
