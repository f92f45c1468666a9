//! Processes that are killed, stopped, frozen, or interrupted all the time.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use async_fuser::*;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::{Mountpoint, Probe, ProbeOptions, Running, eventually, example, mounts, run, within};

use crate::*;

#[test]
fn a_killed_server_leaves_callers_with_an_error_and_a_mount_that_can_be_healed() {
    within(MINUTE, || {
        for engine in ENGINES {
            let at = Mountpoint::new();
            let mut server = daemon(&at, engine);
            let mut open = File::open(at.join("direct")).expect("a file");
            let stuck = reading(at.join("stuck"));
            thread::sleep(Duration::from_millis(50));
            server.signal(Signal::SIGKILL);
            let killed = Instant::now();
            eventually(SOON, "who waits is freed", || stuck.is_finished());
            assert_errno(stuck.join().expect("no panic"), CUT_OFF);
            assert_errno(read_on(&mut open), CUT_OFF);
            assert_errno(fs::metadata(at.path()), &[libc::ENOTCONN]);
            assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
            server.wait(SOON);
            drop(open);

            let (probe, _) = Probe::new(ProbeOptions::default());
            let error = Session::new(probe, &at, &Config::default()).map(drop);
            let error = error.expect_err("something dead is there");
            assert_eq!(error.kind(), ErrorKind::NotConnected, "{error}");
            assert!(error.to_string().contains("recover_stale"), "{error}");

            let mut config = Config::default();
            config.recover_stale = true;
            let (probe, watch) = Probe::new(ProbeOptions::default());
            let session = spawn_mount(probe, &at, &config).expect("it is healed");
            assert_eq!(at.mounts().len(), 1);
            fs::read(at.join("plain")).expect("a file");
            drop(session);
            assert!(!at.is_mounted());
            watch.assert_ended_well();
        }
    });
}

#[test]
fn a_killed_server_can_be_unmounted() {
    within(MINUTE, || {
        let at = Mountpoint::new();
        let mut server = daemon(&at, &[]);
        server.signal(Signal::SIGKILL);
        server.wait(SOON);
        run("umount").arg(at.path()).ok();
        assert!(!at.is_mounted());
    });
}

#[test]
fn a_program_the_server_started_does_not_keep_a_dead_mount_alive() {
    within(MINUTE, || {
        for engine in ENGINES {
            let at = Mountpoint::new();
            let args = [&["--spawn", "sleep", "20"], *engine].concat();
            let mut server = daemon(&at, &args);
            let child = child_of(&server);
            assert_eq!(fs::read(at.join("plain")).expect("a file").len(), 30);
            server.signal(Signal::SIGKILL);
            server.wait(SOON);
            let killed = Instant::now();
            assert_errno(fs::metadata(at.path()), &[libc::ENOTCONN]);
            assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
            let files = tests::open_files(child.as_raw() as u32);
            kill(child, Signal::SIGKILL).expect("the program still runs");
            assert!(!files.contains(&PathBuf::from("/dev/fuse")), "{files:?}");
        }
    });
}

#[test]
fn auto_unmount_unmounts_after_a_kill_and_leaves_no_helper() {
    within(MINUTE, || {
        for engine in ENGINES {
            for child in [&[][..], &["--spawn", "sleep", "20"]] {
                let at = Mountpoint::new();
                let args = [&["--auto-unmount", "--acl", "all"], child, *engine].concat();
                let mut server = daemon(&at, &args);
                assert_eq!(helpers_of(&at).len(), 1, "one helper watches");
                server.signal(Signal::SIGKILL);
                server.wait(SOON);
                eventually(SOON, "the helper unmounts", || !at.is_mounted());
                eventually(SOON, "the helper ends", || helpers_of(&at).is_empty());
                if !child.is_empty() {
                    kill(child_of(&server), Signal::SIGKILL).expect("the program still runs");
                }
            }
        }
    });
}

#[test]
fn auto_unmount_leaves_no_helper_after_any_other_end() {
    within(MINUTE, || {
        for end in ["umount", "lazily", "abort"] {
            let at = Mountpoint::new();
            let mut server = daemon(&at, &["--auto-unmount", "--acl", "all"]);
            match end {
                "umount" => drop(run("umount").arg(at.path()).ok()),
                "lazily" => drop(run("umount").arg("-l").arg(at.path()).ok()),
                _ => at.connection().abort(),
            }
            assert!(server.wait(SOON).stdout.contains("ended well"), "{end}");
            eventually(SOON, "the helper ends", || helpers_of(&at).is_empty());
            assert!(!at.is_mounted(), "{end}");
        }
    });
}

#[test]
fn a_signal_unmounts_an_example() {
    within(Duration::from_secs(620), || {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let at = Mountpoint::new();
            let mut hello = run(example("hello")).arg(at.path()).start();
            hello.wait_for("is mounted on", SOON);
            at.connection();
            assert!(fs::read_dir(at.path()).expect("a listing").count() > 0);
            hello.signal(signal);
            assert_eq!(hello.wait(SOON).code(), 0, "{signal}");
            assert!(!at.is_mounted(), "{signal}");
        }
    });
}

#[test]
fn a_signal_without_a_handler_ends_a_server_as_a_kill_does() {
    within(MINUTE, || {
        let at = Mountpoint::new();
        let mut server = daemon(&at, &[]);
        server.signal(Signal::SIGTERM);
        assert!(server.wait(SOON).status.code().is_none(), "the signal ended it");
        assert_errno(fs::metadata(at.path()), &[libc::ENOTCONN]);
    });
}

#[test]
fn a_storm_of_signals_changes_nothing() {
    within(MINUTE, || {
        for engine in ENGINES {
            let at = Mountpoint::new();
            let mut server = daemon(&at, &[&["--storm", "--slow", "20"], *engine].concat());
            let load = Load::on(at.path());
            for _ in 0..20 {
                fs::read(at.join("slow")).expect("a slow file");
            }
            server.wait_for("1000 signals", SOON);
            assert!(load.end().expect("nobody notices") > 0);
            run("umount").arg(at.path()).ok();
            let ended = server.wait(SOON);
            assert!(ended.stdout.contains("ended well"), "{ended:?}");
        }
    });
}

#[test]
fn a_stopped_server_goes_on_where_it_was() {
    within(MINUTE, || {
        for engine in ENGINES {
            let at = Mountpoint::new();
            let mut server = daemon(&at, engine);
            let caller = Caller::of(&at);
            let load = Load::on(at.path());
            thread::sleep(Duration::from_millis(50));
            server.signal(Signal::SIGSTOP);
            // A thread that is on its way to a stop may still take a request along.
            eventually(SOON, "every thread stops", || states(server.pid()).all(|s| s == 'T'));
            caller.waits_and_is_killed();
            server.signal(Signal::SIGCONT);
            thread::sleep(Duration::from_millis(50));
            assert!(load.end().expect("nobody notices") > 0);
            run("umount").arg(at.path()).ok();
            assert!(server.wait(SOON).stdout.contains("ended well"));
        }
    });
}

#[test]
fn a_frozen_server_goes_on_when_it_thaws() {
    within(MINUTE, || {
        let freezer = Freezer::new();
        for engine in ENGINES {
            let at = Mountpoint::new();
            let mut server = daemon(&at, engine);
            freezer.take(server.pid());
            let caller = Caller::of(&at);
            let load = Load::on(at.path());
            thread::sleep(Duration::from_millis(50));
            freezer.freeze(true);
            let waiting = reading(at.join("plain"));
            caller.waits_and_is_killed();
            assert!(!waiting.is_finished(), "nobody answers");
            freezer.freeze(false);
            waiting.join().expect("no panic").expect("it is served now");
            assert!(load.end().expect("nobody notices") > 0);
            run("umount").arg(at.path()).ok();
            assert!(server.wait(SOON).stdout.contains("ended well"));
        }
    });
}

/// A caller that has a file open and reads it once it is told to.
struct Caller {
    shell: Running,
    go: PathBuf,
}

impl Caller {
    #[track_caller]
    fn of(at: &Mountpoint) -> Self {
        let go = at.beside().join("go");
        let _ = fs::remove_file(&go);
        let script = "exec 3<\"$0\"; echo open; while [ ! -e \"$1\" ]; do sleep 0.01; done
            echo reads; read line <&3; echo done";
        let mut shell = run("sh").args(["-c", script]).arg(at.join("direct")).arg(&go).start();
        shell.wait_for("open", SOON);
        Self { shell, go }
    }

    /// Has it read where nobody serves. No server has read its request, so it may be killed; and
    /// it holds no lock that others wait for, nor waits for one.
    #[track_caller]
    fn waits_and_is_killed(mut self) {
        fs::write(&self.go, "").expect("a file");
        self.shell.wait_for("reads", SOON);
        thread::sleep(Duration::from_millis(50));
        self.shell.signal(Signal::SIGKILL);
        let ended = self.shell.wait(SOON);
        assert!(!ended.stdout.contains("done"), "it was served: {ended:?}");
    }
}

/// The state of each of a process's threads, as one letter.
fn states(pid: u32) -> impl Iterator<Item = char> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a process").flatten();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    // Behind the name, which is in parentheses and may have some itself.
    stats.filter_map(|stat| stat.rsplit_once(") ")?.1.chars().next())
}

/// The program that a daemon has started.
fn child_of(server: &Running) -> Pid {
    let said = server.stdout();
    let pid = said.lines().find_map(|line| line.strip_prefix("child ")).expect("its child");
    Pid::from_raw(pid.parse().expect("a number"))
}

/// The fusermount processes that have this mountpoint among their arguments: nobody else has.
fn helpers_of(at: &Mountpoint) -> Vec<u32> {
    let path = at.path().as_os_str().as_encoded_bytes();
    let is_helper = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|&byte| byte == 0);
        words.next().is_some_and(|name| name.windows(10).any(|part| part == b"fusermount"))
            && words.any(|word| word == path)
    };
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    pids.filter(is_helper).collect()
}

/// A control group whose processes can be frozen, of either version.
struct Freezer {
    group: PathBuf,
    /// Mounted for this test, where the system had none.
    mounted: Option<PathBuf>,
}

impl Freezer {
    fn new() -> Self {
        let name = format!("async-fuser-test-{}", std::process::id());
        let there = mounts().into_iter().find(|mount| {
            mount.kind == "cgroup2" || mount.kind == "cgroup" && mount.has("freezer")
        });
        if let Some(mount) = there.filter(|mount| mount.has("rw")) {
            let group = mount.path.join(&name);
            fs::create_dir(&group).expect("a control group");
            return Self { group, mounted: None };
        }
        let place = tempfile::tempdir().expect("a directory").keep();
        mount(Some("cgroup2"), &place, Some("cgroup2"), MsFlags::empty(), None::<&str>)
            .unwrap_or_else(|error| {
                panic!(
                    "no control groups are mounted, and cgroup2 cannot be ({error}): this test \
                     freezes processes, and needs a kernel with CONFIG_CGROUPS and CAP_SYS_ADMIN"
                )
            });
        let group = place.join(&name);
        fs::create_dir(&group).expect("a control group");
        Self { group, mounted: Some(place) }
    }

    fn take(&self, pid: u32) {
        fs::write(self.group.join("cgroup.procs"), pid.to_string()).expect("a process to freeze");
    }

    fn freeze(&self, frozen: bool) {
        let second = self.group.join("cgroup.freeze");
        if second.exists() {
            fs::write(&second, if frozen { "1" } else { "0" }).expect("a freeze or a thaw");
            let line = format!("frozen {}", u8::from(frozen));
            self.until("cgroup.events", &line);
        } else {
            let state = if frozen { "FROZEN" } else { "THAWED" };
            fs::write(self.group.join("freezer.state"), state).expect("a freeze or a thaw");
            self.until("freezer.state", state);
        }
    }

    fn until(&self, file: &str, line: &str) {
        let is_so = || {
            let text = fs::read_to_string(self.group.join(file)).expect("the group's state");
            text.lines().any(|found| found == line)
        };
        eventually(SOON, line, is_so);
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = fs::write(self.group.join("cgroup.freeze"), "0");
        let _ = fs::write(self.group.join("freezer.state"), "THAWED");
        // Its processes may take a moment to be gone.
        for _ in 0..100 {
            if fs::remove_dir(&self.group).is_ok() || !self.group.exists() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        if let Some(place) = &self.mounted {
            let _ = umount2(Path::new(place), MntFlags::MNT_DETACH);
            let _ = fs::remove_dir(place);
        }
    }
}

pub(crate) const ENGINES: &[&[&str]] = &[
    &[],
    &["--threads", "4"],
    &["--threads", "4", "--clone-fd"],
    &["--background"],
    &["--async", "current"],
    &["--async", "two"],
    &["--async", "two", "--threads", "4"],
];
