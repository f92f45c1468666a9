//! One contestant, serving in a process of its own.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use nix::mount::{MntFlags, umount2};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::workload::{Caller, Workload, repeat};
use crate::{ours, theirs};

/// The two libraries that are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Contestant {
    Ours,
    Theirs,
}

impl Contestant {
    pub(crate) const BOTH: [Self; 2] = [Self::Ours, Self::Theirs];

    /// Serves until the standard input ends.
    pub(crate) fn serve(self, mountpoint: &Path, threads: Threads) -> io::Result<()> {
        match self {
            Self::Ours => ours::serve(mountpoint, threads),
            Self::Theirs => theirs::serve(mountpoint, threads),
        }
    }
}

/// How a contestant serves.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Threads {
    /// How many threads read requests.
    #[arg(long = "threads")]
    pub(crate) number: usize,
    /// Each with a descriptor of its own.
    #[arg(long)]
    pub(crate) clone_fd: bool,
}

/// A process that serves a contestant. Dropped, it unmounts and ends, and so it does if this
/// process dies: its standard input ends then.
pub(crate) struct Server {
    contestant: Contestant,
    child: Child,
    mountpoint: PathBuf,
    _directory: TempDir,
}

impl Server {
    pub(crate) fn start(contestant: Contestant, threads: Threads) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mountpoint = directory.path().to_owned();
        let device = |path: &Path| Ok::<_, io::Error>(fs::metadata(path)?.dev());
        let outside = device(&mountpoint)?;
        let mut command = Command::new("/proc/self/exe");
        command.arg("serve").arg(contestant.to_possible_value().expect("has a name").get_name());
        command.arg("--threads").arg(threads.number.to_string()).arg(&mountpoint);
        if threads.clone_fd {
            command.arg("--clone-fd");
        }
        // An interrupt from the terminal is not for it: it is to unmount when we have gone.
        let child = command.process_group(0).stdin(Stdio::piped()).spawn()?;
        let mut server = Self { contestant, child, mountpoint, _directory: directory };
        wait_for("mount", || {
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("{contestant:?} did not serve: {status}")));
            }
            // While it begins, the mount may be there without anybody to answer.
            Ok(device(&server.mountpoint)? != outside)
        })?;
        Ok(server)
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
            .args(["-c", "-f", "-U", "calls,name", "-o"])
            .arg(report.path())
            .args(["-p", &self.pid().to_string()])
            .stderr(Stdio::null())
            .spawn()?;
        wait_for("strace", || {
            if let Some(status) = strace.try_wait()? {
                return Err(io::Error::other(format!("strace could not attach: {status}")));
            }
            self.is_traced()
        })?;
        let done = repeat(workload, caller, times);
        kill(Pid::from_raw(strace.id() as i32), Signal::SIGINT)?;
        strace.wait()?;
        done?;
        SystemCalls::parse(BufReader::new(report))
    }

    fn is_traced(&self) -> io::Result<bool> {
        for thread in self.threads()? {
            let status = fs::read_to_string(format!("/proc/{thread}/status"))?;
            if status.contains("TracerPid:\t0\n") {
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

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let ended = wait_for("end", || Ok(self.child.try_wait()?.is_some()));
        if let Err(error) = ended {
            // A copy of the mount in another namespace keeps it alive, for example.
            eprintln!("{:?}, {}: {error}", self.contestant, self.mountpoint.display());
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = umount2(&self.mountpoint, MntFlags::MNT_DETACH);
        }
    }
}

/// What `strace -c` counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemCalls {
    pub(crate) all: u64,
    /// Each read fetches one request.
    pub(crate) reads: u64,
}

impl SystemCalls {
    fn parse(report: impl BufRead) -> io::Result<Self> {
        let mut calls = Self::default();
        for line in report.lines() {
            let line = line?;
            let mut words = line.split_whitespace();
            let (Some(number), Some(name)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match name {
                "total" => calls.all = number,
                "read" => calls.reads = number,
                _ => {}
            }
        }
        if calls.reads == 0 || calls.all == 0 {
            return Err(io::Error::other("strace reports no reads"));
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

fn wait_for(what: &str, mut reached: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let began = Instant::now();
    while !reached()? {
        if began.elapsed() > Duration::from_secs(10) {
            return Err(io::Error::other(format!("waited 10 seconds for its {what} in vain")));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
