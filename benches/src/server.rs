//! One contestant, serving in a process of its own.

use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::contestants::{Contestant, Place};
use crate::workload::{Caller, Workload, repeat};

/// Serves until the standard input ends; then unmounts and ends the process.
pub(crate) fn serve(contestant: &Contestant, place: &Place) -> io::Result<()> {
    static ENDING: AtomicBool = AtomicBool::new(false);

    let mountpoint = place.mountpoint.clone();
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        ENDING.store(true, Ordering::SeqCst);
        remove(&mountpoint);
        process::exit(0);
    });
    match (contestant.serve)(place) {
        // Some take the end of the mount for an error. The other thread ends the process.
        _ if ENDING.load(Ordering::SeqCst) => loop {
            thread::park();
        },
        Ok(()) => Err(io::Error::other("it ended before it was told to")),
        Err(error) => Err(error),
    }
}

/// A process that serves a contestant. Dropped, it unmounts and ends, and so it does if this
/// process dies: its standard input ends then.
pub(crate) struct Server {
    contestant: &'static Contestant,
    child: Child,
    mountpoint: PathBuf,
}

impl Server {
    /// Starts it on the CPUs of this process, and checks that it serves what it should.
    pub(crate) fn start(
        contestant: &'static Contestant,
        scratch: &Path,
        threads: usize,
    ) -> io::Result<Self> {
        let mountpoint = TempDir::with_prefix("benches-")?.keep();
        // An interrupt from the terminal is not for it: it is to unmount when we have gone.
        let child = Command::new("/proc/self/exe")
            .args(["serve", contestant.name])
            .args([&mountpoint, scratch])
            .arg(threads.to_string())
            .process_group(0)
            .stdin(Stdio::piped())
            .spawn()?;
        let mut server = Self { contestant, child, mountpoint };
        server.begin().map_err(|error| io::Error::other(format!("{contestant:?}: {error}")))?;
        Ok(server)
    }

    fn begin(&mut self) -> io::Result<()> {
        let parent = self.mountpoint.parent().expect("is in a directory");
        let outside = fs::metadata(parent)?.dev();
        wait_for("mount", || {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("did not serve: {status}")));
            }
            // While it begins, the mount may be there without anybody to answer.
            Ok(fs::metadata(&self.mountpoint)?.dev() != outside)
        })?;
        self.watched(|| Caller::new(&self.mountpoint, 0)?.check())
    }

    /// Does what needs its answers. If they do not come in time it is ended: a caller cannot leave
    /// off waiting, not even to die.
    pub(crate) fn watched<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let pid = self.pid();
        let (done, wait) = mpsc::channel::<()>();
        let watch = thread::spawn(move || {
            let silent = wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
            if silent {
                let _ = kill(pid, Signal::SIGKILL);
            }
            silent
        });
        let result = work();
        drop(done);
        if watch.join().expect("kill does not panic") {
            return Err(io::Error::other("did not answer in time"));
        }
        result
    }

    pub(crate) fn callers(&self, number: usize) -> io::Result<Vec<Caller>> {
        (0..number).map(|number| Caller::new(&self.mountpoint, number)).collect()
    }

    /// The CPU time it has used, in seconds.
    pub(crate) fn cpu_time(&self) -> io::Result<f64> {
        let time = clock_gettime(clock_getcpuclockid(self.pid())?)?;
        Ok(Duration::from(time).as_secs_f64())
    }

    /// The most memory it has had, in KiB.
    pub(crate) fn peak_memory(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let peak = status.lines().find_map(|line| {
            line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok()
        });
        peak.ok_or_else(|| io::Error::other("the kernel does not tell VmHWM"))
    }

    /// Counts its system calls while one caller works.
    pub(crate) fn system_calls(
        &self,
        workload: Workload,
        caller: &mut Caller,
        times: u64,
    ) -> io::Result<SystemCalls> {
        let report = tempfile::NamedTempFile::new()?;
        let mut strace = Command::new("strace")
            .args(["-c", "-f", "-U", "calls,errors,name", "-o"])
            .arg(report.path())
            .args(["-p", &self.pid().to_string()])
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::other(format!("strace: {error}")))?;
        wait_for("strace", || {
            if let Some(status) = strace.try_wait()? {
                return Err(io::Error::other(format!("strace could not attach: {status}")));
            }
            self.is_traced()
        })?;
        let done = self.watched(|| repeat(workload, caller, times));
        kill(Pid::from_raw(strace.id() as i32), Signal::SIGINT)?;
        strace.wait()?;
        done?;
        SystemCalls::parse(BufReader::new(report))
    }

    fn is_traced(&self) -> io::Result<bool> {
        for thread in self.threads()? {
            let status = fs::read_to_string(format!("/proc/{thread}/status"));
            // A thread may have ended by now.
            if status.is_ok_and(|status| status.contains("TracerPid:\t0\n")) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn threads(&self) -> io::Result<Vec<Pid>> {
        let number = |entry: io::Result<fs::DirEntry>| {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok());
            Ok(Pid::from_raw(number.ok_or_else(|| io::Error::other("a thread has no number"))?))
        };
        fs::read_dir(format!("/proc/{}/task", self.pid()))?.map(number).collect()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.contestant.fmt(f)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let ended = wait_for("end", || Ok(self.child.try_wait()?.is_some()));
        if let Err(error) = ended {
            eprintln!("{:?}, {}: {error}", self.contestant, self.mountpoint.display());
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        // It has done so unless it crashed.
        remove(&self.mountpoint);
    }
}

/// Unmounts what is mounted there, lazily, and removes the directory.
fn remove(mountpoint: &Path) {
    let _ = umount2(mountpoint, MntFlags::MNT_DETACH);
    let _ = fs::remove_dir(mountpoint);
}

/// What `strace -c` counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemCalls {
    pub(crate) all: u64,
    /// Each read that succeeds fetches one request.
    pub(crate) requests: u64,
}

impl SystemCalls {
    fn parse(report: impl BufRead) -> io::Result<Self> {
        let mut calls = Self::default();
        for line in report.lines() {
            let line = line?;
            // Calls, errors if any, name.
            let words: Vec<_> = line.split_whitespace().collect();
            let (Some(number), Some(name)) = (words.first(), words.last()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            let errors = if words.len() > 2 { words[1].parse().unwrap_or(0) } else { 0 };
            match *name {
                "total" => calls.all = number,
                "read" | "readv" => calls.requests += number - errors,
                _ => {}
            }
        }
        if calls.requests == 0 || calls.all == 0 {
            return Err(io::Error::other("strace reports no requests"));
        }
        Ok(calls)
    }
}

/// The CPUs this process may use, and of them the last one alone.
pub(crate) fn all_cpus_and_one() -> io::Result<(CpuSet, CpuSet)> {
    let all = sched_getaffinity(Pid::from_raw(0))?;
    let last = (0..CpuSet::count()).rev().find(|cpu| all.is_set(*cpu) == Ok(true));
    let mut one = CpuSet::new();
    one.set(last.ok_or_else(|| io::Error::other("no CPU to run on"))?)?;
    Ok((all, one))
}

const PATIENCE: Duration = Duration::from_secs(10);

fn wait_for(what: &str, mut reached: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let began = Instant::now();
    while !reached()? {
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("waited for its {what} in vain")));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
