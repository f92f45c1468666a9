//! What a process holds: threads, descriptors, children.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use crate::limit::wait;

/// What this process holds at one moment. Only meaningful in a test that is [`alone`](crate::alone).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Census {
    threads: usize,
    files: Vec<PathBuf>,
    children: Vec<String>,
}

impl Census {
    /// What it holds now.
    pub fn here() -> Self {
        let files = open_files(process::id());
        Self { threads: thread_count(process::id()), files, children: children() }
    }

    /// Panics unless soon nothing is there that was not there before.
    ///
    /// Mounts are not counted, as other processes make some too: ask
    /// [`Mountpoint::is_mounted`](crate::Mountpoint::is_mounted).
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let mut now = Self::here();
        wait(Duration::from_secs(5), || {
            now = Self::here();
            now.threads <= self.threads
                && now.files.len() <= self.files.len()
                && now.children.len() <= self.children.len()
        });
        assert!(now.threads <= self.threads, "threads: {} before, {now:?}", self.threads);
        assert!(now.files.len() <= self.files.len(), "descriptors left: {self:?}, {now:?}");
        assert!(now.children.len() <= self.children.len(), "children left: {self:?}, {now:?}");
    }
}

/// How many threads a process has; 0 if there is no such process.
pub fn thread_count(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// What a process has open, one path for each descriptor.
pub fn open_files(pid: u32) -> Vec<PathBuf> {
    let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let here = Path::new("/proc").join(pid.to_string()).join("fd");
    // Of this process's own, one is that of this very listing.
    fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()).filter(|path| *path != here).collect()
}

/// How much of a process's memory is in use, in bytes; 0 if there is no such process.
pub fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    resident.and_then(|size| size.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0)
        << 10
}

fn children() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(String::from).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;
    use std::{panic, thread};

    use super::*;
    use crate::alone;

    #[test]
    fn a_thread_and_a_descriptor_are_noticed() {
        alone(Duration::from_secs(30), || {
            let before = Census::here();
            before.assert_nothing_left();
            let file = File::open("/dev/null").expect("/dev/null");
            assert!(panic::catch_unwind(|| before.assert_nothing_left()).is_err());
            drop(file);
            before.assert_nothing_left();
            let thread = thread::spawn(|| thread::sleep(Duration::from_secs(6)));
            assert!(panic::catch_unwind(|| before.assert_nothing_left()).is_err());
            thread.join().expect("a thread that sleeps");
            before.assert_nothing_left();
        });
    }
}
