//! What the tests share: mountpoints that never outlive a test, limits that turn a hang into a
//! failure, commands with a deadline, a count of what a process holds, and a filesystem that
//! misbehaves on request.
//!
//! Nothing here skips: what the tests need and the machine lacks is a panic that says what to do.

#![cfg(target_os = "linux")]

mod async_probe;
mod census;
mod counting;
mod kernel;
mod limit;
mod mountpoint;
pub mod opcode;
mod ordinary;
mod probe;
mod random;
mod run;
mod serving;
pub mod sys;

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::{env, fs};

use nix::unistd::geteuid;

pub use async_probe::AsyncProbe;
pub use census::{Census, memory, open_files, thread_count};
pub use counting::{Allocations, Counting};
pub use kernel::{Kernel, Reply, request};
pub use limit::{alone, alone_with_mounts, eventually, within};
pub use mountpoint::{Connection, MountLine, Mountpoint, mounts};
pub use ordinary::Ordinary;
pub use probe::{Init, Probe, ProbeOptions, Watch};
pub use random::Random;
pub use run::{NOBODY, Ran, Run, Running, example, helper, run};
pub use serving::{Engine, Serving, Workers, without_tasks};

/// Panics unless this process may mount: it is root, and `/dev/fuse` works.
pub fn require_fuse() {
    assert!(
        geteuid().is_root(),
        "the tests mount filesystems and change users: run them as root, for example with \
         'sudo -E cargo test -p tests'"
    );
    if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/fuse") {
        panic!(
            "the tests mount filesystems, but /dev/fuse cannot be opened ({error}): load the module \
             with 'modprobe fuse', and give a container '--device /dev/fuse --cap-add SYS_ADMIN'"
        );
    }
}

/// Where a program is. Panics if it is not installed, and names the package it is in.
pub fn require_tool(program: &str) -> PathBuf {
    let found = env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|place| place.join(program))
        .find(|path| is_program(path));
    found.unwrap_or_else(|| {
        let package = PACKAGES
            .iter()
            .find_map(|(package, programs)| programs.contains(&program).then_some(*package))
            .unwrap_or(program);
        panic!("the tests run '{program}', which is not installed: 'apt-get install {package}'")
    })
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

const PACKAGES: &[(&str, &[&str])] = &[
    ("fuse3", &["fusermount3"]),
    ("util-linux", &["setpriv", "prlimit", "unshare", "mount", "umount", "nsenter", "flock"]),
    ("e2fsprogs", &["mkfs.ext4"]),
    ("gcc", &["cc"]),
    ("attr", &["setfattr", "getfattr", "attr"]),
    ("acl", &["setfacl", "getfacl"]),
    ("coreutils", &["ls", "cat", "df", "dd", "stat", "sleep", "timeout", "mkfifo", "head"]),
];
