//! What POSIX says of files and directories, as pjdfstest has it: on memfs, and for comparison on ext4.

#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, thread};

use async_fuser::{Config, MountOption, SessionACL, spawn_mount, spawn_mount_async};
use examples::memfs::{Limits, MemFs, Options};
use tempfile::TempDir;
use tests::{Mountpoint, require_tool, run};

#[test]
fn memfs_passes_every_case_and_skips_no_more_than_ext4() {
    let suite = Suite::new();
    let strict = Options { check_permissions: true, ..Options::default() };
    let ways = [
        ("memfs", Options::default(), Face::Sync, 1),
        ("memfs that checks permissions itself, with 4 threads", strict, Face::Sync, 4),
        ("asynchronous memfs", Options::default(), Face::Async, 1),
        (
            "asynchronous memfs that checks permissions itself, with 4 readers",
            strict,
            Face::Async,
            4,
        ),
    ];
    let (ext4, reports) = thread::scope(|scope| {
        let ext4 = scope.spawn(|| on_ext4(&suite));
        let reports = ways
            .map(|(name, options, face, threads)| (name, on_memfs(&suite, options, face, threads)));
        (ext4.join(), reports)
    });
    let ext4 = ext4.expect("pjdfstest on ext4");
    println!("pjdfstest on ext4: {ext4}");
    for (name, memfs) in reports {
        println!("pjdfstest on {name}: {memfs}");
        assert!(memfs.of(Outcome::Failed).is_empty(), "{name}: {:?}", memfs.of(Outcome::Failed));
        let skipped = memfs.of(Outcome::Skipped);
        let more: Vec<_> = skipped.difference(&ext4.of(Outcome::Skipped)).cloned().collect();
        assert!(more.is_empty(), "skipped on {name} and not on ext4: {more:?}");
        assert!(memfs.0.keys().eq(ext4.0.keys()), "not the same cases on {name}");
        assert!(memfs.0.len() > 300, "only {} cases on {name}", memfs.0.len());
    }
}

/// Which trait memfs is served by.
#[derive(Clone, Copy, Debug)]
enum Face {
    Sync,
    Async,
}

fn on_memfs(suite: &Suite, options: Options, face: Face, threads: usize) -> Report {
    let mountpoint = Mountpoint::new();
    let limits = Limits { links: LINKS, ..options.limits };
    let mut config = Config::default();
    config.acl = SessionACL::All;
    config.mount_options = vec![MountOption::Dev, MountOption::Suid];
    if !options.check_permissions {
        config.mount_options.push(MountOption::DefaultPermissions);
    }
    config.n_threads = Some(threads);
    config.clone_fd = threads > 1;
    let memfs = MemFs::new(Options { limits, ..options });
    let report = match face {
        Face::Sync => {
            let session = spawn_mount(memfs, &mountpoint, &config).expect("memfs is mounted");
            let report = suite.run(&mountpoint);
            session.umount_and_join().expect("memfs is unmounted");
            report
        }
        Face::Async => {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            let mounting = spawn_mount_async(memfs, &mountpoint, &config);
            let session = runtime.block_on(mounting).expect("memfs is mounted");
            let report = suite.run(&mountpoint);
            runtime.block_on(session.unmount()).expect("memfs is unmounted");
            report
        }
    };
    assert!(!mountpoint.is_mounted());
    report
}

fn on_ext4(suite: &Suite) -> Report {
    let directory = TempDir::new().expect("a temporary directory");
    let image = directory.path().join("image");
    File::create(&image).and_then(|image| image.set_len(1 << 30)).expect("an image file");
    if !["/usr/sbin", "/sbin"].iter().any(|place| Path::new(place).join("mkfs.ext4").is_file()) {
        panic!(
            "pjdfstest is compared with ext4, and 'mkfs.ext4' is not installed: 'apt-get install e2fsprogs'"
        );
    }
    run("mkfs.ext4").args(["-q", "-F"]).arg(&image).within(MINUTES).ok();
    let mountpoint = Mountpoint::new();
    // The kernel frees the loop device by itself when it is unmounted.
    let mounted =
        run("mount").args(["-t", "ext4", "-o", "loop"]).arg(&image).arg(mountpoint.path()).output();
    assert!(
        mounted.succeeded(),
        "an ext4 image cannot be mounted on a loop device, to compare with: {}\
         load the module with 'modprobe loop', and give a container its devices",
        mounted.stderr
    );
    let report = suite.run(&mountpoint);
    run("umount").arg(mountpoint.path()).ok();
    report
}

/// pjdfstest, and what it has to be given.
struct Suite {
    program: PathBuf,
    config: PathBuf,
    /// A configuration that allows it to mount the filesystem read-only.
    remounting: PathBuf,
    /// A library that tells it how many links a file can have.
    link_max: PathBuf,
    /// What comes before the usual PATH.
    path: PathBuf,
    /// Not on the filesystem that is tested.
    elsewhere: PathBuf,
    _directory: TempDir,
}

impl Suite {
    #[track_caller]
    fn new() -> Self {
        let directory = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary directory");
        let [remounting, path, elsewhere, source, link_max] =
            ["remounting.toml", "bin", "elsewhere", "link_max.c", "link_max.so"]
                .map(|name| directory.path().join(name));
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("pjdfstest.toml");
        let text = fs::read_to_string(&config).expect("pjdfstest.toml");
        let allowing = text.replace("\nallow_remount = false\n", "\nallow_remount = true\n");
        assert_ne!(allowing, text, "{} says nothing of allow_remount", config.display());
        fs::write(&remounting, allowing).expect("a configuration");

        // Without -i, mount(8) looks for a program that is called after the filesystem.
        fs::create_dir(&path).expect("a directory");
        fs::create_dir(&elsewhere).expect("a directory");
        let mount = path.join("mount");
        let script = format!("#!/bin/sh\nexec {} -i \"$@\"\n", require_tool("mount").display());
        fs::write(&mount, script).expect("a script");
        fs::set_permissions(&mount, Permissions::from_mode(0o755)).expect("the script's mode");

        fs::write(&source, LINK_MAX).expect("a C program");
        run("cc").args(["-shared", "-fPIC", "-o"]).args([&link_max, &source]).within(MINUTES).ok();
        let program = program();
        Self { program, config, remounting, link_max, path, elsewhere, _directory: directory }
    }

    /// Runs all of it on what is mounted.
    #[track_caller]
    fn run(&self, mountpoint: &Mountpoint) -> Report {
        let mut report = self.run_with(mountpoint, &self.config, None);
        // Files that other cases have left open would keep the filesystem from becoming read-only:
        // these cases are run in a process of their own.
        let read_only = self.run_with(mountpoint, &self.remounting, Some("erofs"));
        assert!(!read_only.0.is_empty(), "there is no case 'erofs' any more");
        report.0.extend(read_only.0);
        report
    }

    #[track_caller]
    fn run_with(&self, mountpoint: &Mountpoint, config: &Path, pattern: Option<&str>) -> Report {
        let usual = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([self.path.clone()].into_iter().chain(env::split_paths(&usual)))
            .expect("a PATH");
        let ran = run(&self.program)
            .arg("-c")
            .arg(config)
            .arg("-p")
            .arg(mountpoint.path())
            .arg("-s")
            .arg(&self.elsewhere)
            .args(pattern)
            .env("PATH", path)
            .env("LD_PRELOAD", &self.link_max)
            .within(MINUTES)
            .output();
        let report = Report::parse(&ran.stdout);
        let summary = ran.stdout.lines().rfind(|line| line.starts_with("Summary: "));
        let total = format!("{} total", report.0.len());
        assert!(
            summary.is_some_and(|summary| summary.ends_with(&total)),
            "pjdfstest: {}, {} cases\n{}\n{}",
            ran.status,
            report.0.len(),
            ran.stdout,
            ran.stderr
        );
        if !report.of(Outcome::Failed).is_empty() {
            println!("{}", ran.stdout);
        }
        report
    }
}

/// What became of each case.
struct Report(BTreeMap<String, Outcome>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

impl Report {
    /// Reads lines like `chmod::erofs_named      ok`.
    fn parse(text: &str) -> Self {
        let outcome = |word| match word {
            "ok" => Some(Outcome::Passed),
            "FAILED" => Some(Outcome::Failed),
            "skipped" => Some(Outcome::Skipped),
            _ => None,
        };
        let cases = text.lines().filter_map(|line| {
            let (name, word) = line.rsplit_once(' ')?;
            let name = name.trim_end();
            let is_name = !name.is_empty() && !name.contains([' ', '\t']);
            Some((name.to_owned(), outcome(word)?)).filter(|_| is_name)
        });
        Self(cases.collect())
    }

    fn of(&self, wanted: Outcome) -> BTreeSet<&str> {
        let of = self.0.iter().filter(|(_, outcome)| **outcome == wanted);
        of.map(|(name, _)| name.as_str()).collect()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [passed, failed, skipped] = [Outcome::Passed, Outcome::Failed, Outcome::Skipped]
            .map(|outcome| self.of(outcome).len());
        write!(f, "{} cases: {passed} passed, {failed} failed, {skipped} skipped", self.0.len())
    }
}

/// Where pjdfstest is. Panics if it is not installed.
#[track_caller]
fn program() -> PathBuf {
    let homes = [
        env::var_os("CARGO_HOME").map(PathBuf::from),
        env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")),
    ];
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .chain(homes.into_iter().flatten().map(|home| home.join("bin")))
        .map(|place| place.join("pjdfstest"))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!("'pjdfstest' is not installed: 'cargo install --locked pjdfstest'")
        })
}

const MINUTES: Duration = Duration::from_secs(300);

/// How many links a file can have on ext4, and here on memfs too.
const LINKS: u32 = 65000;

/// `pathconf(3)` that knows this of a filesystem on FUSE. No system call tells it: the C library has
/// a table of filesystems, ext4 is in it, and for those that are not the case would be skipped.
const LINK_MAX: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/vfs.h>
#include <unistd.h>

long pathconf(const char *path, int name) {
    struct statfs found;
    if (name == _PC_LINK_MAX && statfs(path, &found) == 0 && found.f_type == 0x65735546)
        return 65000;
    long (*usual)(const char *, int) = (long (*)(const char *, int)) dlsym(RTLD_NEXT, "pathconf");
    return usual(path, name);
}
"#;
