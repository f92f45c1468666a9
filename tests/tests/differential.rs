//! The real fuser beside async-fuser: one filesystem, compiled against both, gets the same system
//! calls on both mounts. What they come to must be equal, and so must be the calls the filesystem
//! gets and the answers it gives. Where async-fuser differs on purpose, the test says how and why.

#![cfg(target_os = "linux")]
#![allow(clippy::duplicate_mod, reason = "what is compared is compiled once for each side")]

#[path = "differential/common.rs"]
mod common;
#[path = "differential/ours.rs"]
mod ours;
#[path = "differential/program_017.rs"]
mod program_017;
#[path = "differential/script.rs"]
mod script;
#[path = "differential/sys.rs"]
mod sys;
#[path = "differential/theirs.rs"]
mod theirs;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use tests::{Connection, Mountpoint, eventually};

use common::{Acl, Kind, Life, Mounted, Note, Side, Spec, Trace, outcome};
use script::Script;

const OURS: Side = ours::SIDE;
const THEIRS: Side = theirs::SIDE;
const LIMIT: Duration = Duration::from_secs(40);

/// Tests that start programs, upon which every descriptor of this process is there twice for a
/// moment, or that make the kernel forget, run alone: either leads to requests of other tests.
static PEACE: RwLock<()> = RwLock::new(());

/// Runs a test beside others, with a limit.
#[track_caller]
fn within<T: Send + 'static>(limit: Duration, what: impl FnOnce() -> T + Send + 'static) -> T {
    let _peace = PEACE.read().unwrap_or_else(PoisonError::into_inner);
    tests::within(limit, what)
}

/// Runs a test beside no other, with a limit.
#[track_caller]
fn undisturbed<T: Send + 'static>(limit: Duration, what: impl FnOnce() -> T + Send + 'static) -> T {
    let _peace = PEACE.write().unwrap_or_else(PoisonError::into_inner);
    tests::within(limit, what)
}

/// What a script came to on one side.
#[derive(Debug, Default, PartialEq, Eq)]
struct Came {
    /// A line for each system call.
    results: Vec<String>,
    /// A line for each request.
    requests: Vec<String>,
}

/// Mounts on one side, runs a script, unmounts.
fn run(side: Side, spec: &Spec, script: impl FnOnce(&mut Script<'_>, &dyn Mounted)) -> Came {
    let mountpoint = Mountpoint::new();
    let mounted = (side.mount)(spec, mountpoint.path())
        .unwrap_or_else(|error| panic!("{} does not mount {spec:?}: {error}", side.name));
    let trace = mounted.trace().clone();
    let mut run = Script::new(mountpoint.path(), &trace);
    script(&mut run, &*mounted);
    let mut results = run.into_log();
    settle(&trace);
    results.push(format!("the end {}", outcome(&mounted.end())));
    Came { results, requests: trace.lines() }
}

/// Waits until nothing has arrived for a while: some requests come after the system call.
fn settle(trace: &Trace) {
    let mut len = trace.len();
    loop {
        thread::sleep(Duration::from_millis(30));
        if trace.len() == len {
            return;
        }
        len = trace.len();
    }
}

/// Runs a script on both sides and asserts that they agree on everything. Returns what both came
/// to.
#[track_caller]
fn agree(
    spec: Spec,
    script: impl Fn(&mut Script<'_>, &dyn Mounted) + Send + Sync + 'static,
) -> Came {
    compare(spec, Order::Kept, script)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Requests must come in the same order.
    Kept,
    /// Several threads record them.
    Any,
    /// In the same order, but for those that set times alone, and with no heed to whether a time is
    /// the kernel's or the filesystem's: where the kernel keeps the times, it depends on its clock's
    /// ticks when it has new ones.
    WithoutTimes,
}

fn sets_times_alone(request: &str) -> bool {
    request.contains("setattr")
        && request.contains("mode None None:None size None")
        && request.contains("mtime Some(\"now\") ctime Some(\"now\")")
}

#[track_caller]
fn compare(
    spec: Spec,
    order: Order,
    script: impl Fn(&mut Script<'_>, &dyn Mounted) + Send + Sync + 'static,
) -> Came {
    within(LIMIT, move || {
        // Memory pressure may drop what the kernel caches at any time, and then it asks again; and
        // somebody else may look into the mount. A difference of the two crates is there each time.
        let mut differences = String::new();
        for attempt in 1..=3 {
            let ordered = |side| {
                let mut came = run(side, &spec, &script);
                match order {
                    Order::Kept => {}
                    Order::Any => came.requests.sort(),
                    Order::WithoutTimes => {
                        came.requests.retain(|line| !sets_times_alone(line));
                        for line in came.requests.iter_mut().chain(&mut came.results) {
                            *line = line.replace(STOPPED_CLOCK, "now");
                        }
                    }
                }
                came
            };
            let (ours, theirs) = (ordered(OURS), ordered(THEIRS));
            if ours == theirs {
                println!(
                    "{} system calls and {} requests compared",
                    ours.results.len(),
                    ours.requests.len()
                );
                return ours;
            }
            differences = format!(
                "{}{}",
                difference("results", &ours.results, &theirs.results),
                difference("requests", &ours.requests, &theirs.requests)
            );
            eprintln!("attempt {attempt} with {spec:?}:\n{differences}");
        }
        panic!("the two differ with {spec:?}:\n{differences}");
    })
}

/// The first lines in which two lists differ, with those before.
fn difference(what: &str, ours: &[String], theirs: &[String]) -> String {
    if ours == theirs {
        return String::new();
    }
    let same = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
    let from = same.saturating_sub(3);
    let some = |lines: &[String]| {
        lines[from..].iter().take(8).map(|l| format!("  {l:.400}\n")).collect::<String>()
    };
    format!(
        "{what} differ from line {same} on ({} and {} lines)\nasync-fuser:\n{}fuser:\n{}",
        ours.len(),
        theirs.len(),
        some(ours),
        some(theirs)
    )
}

/// The lines in which two lists of the same length differ, ours first.
#[track_caller]
fn differing<'a>(ours: &'a [String], theirs: &'a [String]) -> Vec<(&'a str, &'a str)> {
    assert_eq!(ours.len(), theirs.len(), "{ours:#?}\n{theirs:#?}");
    let pairs = ours.iter().zip(theirs).filter(|(ours, theirs)| ours != theirs);
    pairs.map(|(ours, theirs)| (ours.as_str(), theirs.as_str())).collect()
}

/// The connection of the filesystem mounted last at a path.
fn connection_at(path: &Path) -> Connection {
    let mounts = tests::mounts();
    let mount = mounts.iter().rev().find(|mount| mount.path == path && mount.is_fuse());
    Connection(mount.expect("a FUSE filesystem").minor)
}

/// What a time looks like where the filesystem's clock stands still.
const STOPPED_CLOCK: &str = "1000000000.123456789";

const FOREVER: Duration = Duration::from_secs(86_400);

#[test]
fn the_whole_script_comes_to_the_same() {
    let came = agree(Spec::default(), |script, _| script.everything());
    assert!(came.results.len() > 900, "{} system calls", came.results.len());
    assert!(came.requests.len() > 1500, "{} requests", came.requests.len());
    for method in METHODS {
        let called = |line: &String| line.split("] ").nth(1).is_some_and(|l| l.starts_with(method));
        assert!(came.requests.iter().any(called), "the script does not lead to {method}");
    }
}

/// Those that the whole script must reach; `bmap` takes a block device.
const METHODS: &[&str] = &[
    "lookup ",
    "getattr ",
    "setattr ",
    "readlink ",
    "mknod ",
    "mkdir ",
    "unlink ",
    "rmdir ",
    "symlink ",
    "rename ",
    "link ",
    "open ",
    "read ",
    "write ",
    "flush ",
    "release ",
    "fsync ",
    "opendir ",
    "readdir ",
    "releasedir ",
    "fsyncdir ",
    "statfs ",
    "setxattr ",
    "getxattr ",
    "listxattr ",
    "removexattr ",
    "access ",
    "create ",
    "ioctl ",
    "poll ",
    "fallocate ",
    "lseek ",
    "copy_file_range ",
];

#[test]
fn the_whole_script_comes_to_the_same_when_the_kernel_may_cache() {
    let spec = Spec { entry_ttl: FOREVER, attr_ttl: FOREVER, ..Spec::default() };
    agree(spec, |script, _| script.everything());
}

#[test]
fn the_whole_script_comes_to_the_same_with_four_threads() {
    let spec = Spec { n_threads: Some(4), ..Spec::default() };
    compare(spec, Order::Any, |script, _| script.everything());
}

#[test]
fn the_whole_script_comes_to_the_same_with_four_threads_and_descriptors() {
    let spec = Spec { n_threads: Some(4), clone_fd: true, ..Spec::default() };
    compare(spec, Order::Any, |script, _| script.everything());
}

#[test]
fn the_whole_script_comes_to_the_same_with_default_permissions_for_all() {
    let spec = Spec { options: &["default_permissions"], acl: Acl::All, ..Spec::default() };
    agree(spec, |script, _| script.everything());
}

macro_rules! with_capabilities {
    ($($test:ident: $capabilities:expr, $ttl:expr;)*) => { $(
        #[test]
        fn $test() {
            let spec = Spec {
                capabilities: &$capabilities,
                entry_ttl: $ttl,
                attr_ttl: $ttl,
                ..Spec::default()
            };
            agree(spec, |script, _| script.everything());
        }
    )* };
}

with_capabilities! {
    they_agree_with_atomic_o_trunc: ["FUSE_ATOMIC_O_TRUNC"], Duration::ZERO;
    they_agree_with_readdirplus: ["FUSE_DO_READDIRPLUS"], Duration::ZERO;
    they_agree_with_readdirplus_when_it_pays:
        ["FUSE_DO_READDIRPLUS", "FUSE_READDIRPLUS_AUTO"], FOREVER;
    they_agree_with_locks: ["FUSE_POSIX_LOCKS", "FUSE_FLOCK_LOCKS"], Duration::ZERO;
    they_agree_with_posix_locks_alone: ["FUSE_POSIX_LOCKS"], Duration::ZERO;
    they_agree_with_dont_mask: ["FUSE_DONT_MASK"], Duration::ZERO;
    they_agree_with_export_support: ["FUSE_EXPORT_SUPPORT"], Duration::ZERO;
    they_agree_with_ioctls_on_directories: ["FUSE_HAS_IOCTL_DIR"], Duration::ZERO;
    they_agree_with_auto_inval_data: ["FUSE_AUTO_INVAL_DATA"], Duration::ZERO;
    they_agree_with_explicit_inval_data: ["FUSE_EXPLICIT_INVAL_DATA"], FOREVER;
    they_agree_with_cached_symlinks: ["FUSE_CACHE_SYMLINKS"], FOREVER;
    they_agree_with_parallel_dirops: ["FUSE_PARALLEL_DIROPS"], Duration::ZERO;
    they_agree_with_asynchronous_direct_io: ["FUSE_ASYNC_DIO"], Duration::ZERO;
    they_agree_with_killpriv: ["FUSE_HANDLE_KILLPRIV"], Duration::ZERO;
    they_agree_with_posix_acls: ["FUSE_POSIX_ACL"], Duration::ZERO;
    they_agree_with_splice:
        ["FUSE_SPLICE_READ", "FUSE_SPLICE_WRITE", "FUSE_SPLICE_MOVE"], Duration::ZERO;
    they_agree_with_killpriv_v2: ["FUSE_HANDLE_KILLPRIV_V2"], Duration::ZERO;
    they_agree_without_export_support: ["FUSE_NO_EXPORT_SUPPORT"], Duration::ZERO;
    they_agree_with_mapped_direct_io: ["FUSE_DIRECT_IO_ALLOW_MMAP"], Duration::ZERO;
    they_agree_with_expire_only_and_abort_error:
        ["FUSE_HAS_EXPIRE_ONLY", "FUSE_ABORT_ERROR"], Duration::ZERO;
    they_agree_with_what_needs_no_asking:
        ["FUSE_ASYNC_READ", "FUSE_BIG_WRITES", "FUSE_MAX_PAGES"], Duration::ZERO;
}

#[test]
fn they_agree_with_the_writeback_cache() {
    let spec = Spec {
        capabilities: &["FUSE_WRITEBACK_CACHE"],
        stopped_clock: true,
        entry_ttl: FOREVER,
        attr_ttl: FOREVER,
        ..Spec::default()
    };
    compare(spec, Order::WithoutTimes, |script, _| script.everything());
}

#[test]
fn they_agree_on_large_and_small_limits() {
    for (max_write, max_readahead) in
        [(4096, 4096), (65_536, 8192), (1 << 20, 1), (16 << 20, 131_072)]
    {
        let spec = Spec {
            max_write: Some(max_write),
            max_readahead: Some(max_readahead),
            ..Spec::default()
        };
        // Of so many small requests in the background it is chance which is first.
        compare(spec, Order::Any, |script, _| {
            script.data();
            script.large_data();
            script.mapping();
        });
    }
}

#[test]
fn they_agree_on_the_limits_of_background_requests() {
    for (max_background, congestion_threshold) in [(1, None), (2, Some(1)), (64, Some(48))] {
        let spec =
            Spec { max_background: Some(max_background), congestion_threshold, ..Spec::default() };
        compare(spec, Order::Any, |script, _| {
            script.data();
            script.large_data();
        });
    }
}

#[test]
fn they_agree_on_the_granularity_of_time() {
    for nanos in [1, 100, 1_000_000, 1_000_000_000] {
        let granularity = Duration::from_nanos(nanos);
        let spec = Spec { time_granularity: Some(granularity), ..Spec::default() };
        agree(spec, |script, _| script.times());
    }
}

#[test]
fn they_agree_on_each_flag_of_an_open_file() {
    // KEEP_CACHE, DIRECT_IO, NONSEEKABLE, NOFLUSH, DIRECT_IO and PARALLEL_DIRECT_WRITES, STREAM
    for fopen in [1 << 1, 1, 1 << 2, 1 << 5, 1 | 1 << 6, 1 << 4] {
        let spec = Spec { fopen, ..Spec::default() };
        agree(spec, |script, _| {
            script.open_flags();
            script.data();
            script.mapping();
        });
    }
    // CACHE_DIR, CACHE_DIR and KEEP_CACHE
    for dopen in [1 << 3, 1 << 3 | 1 << 1] {
        let spec = Spec { dopen, entry_ttl: FOREVER, attr_ttl: FOREVER, ..Spec::default() };
        agree(spec, |script, _| script.directories());
    }
}

#[test]
fn they_agree_when_open_is_not_implemented() {
    let spec = Spec { no_open: true, ..Spec::default() };
    let came = agree(spec, |script, _| {
        script.names();
        script.open_flags();
        script.data();
        script.directories();
    });
    let opens = came.requests.iter().filter(|line| line.contains("] open ")).count();
    assert_eq!(opens, 1, "the kernel asks once");
}

#[test]
fn they_agree_on_a_filesystem_with_only_lookup_and_getattr() {
    let spec = Spec { kind: Kind::Bare, ..Spec::default() };
    let came = agree(spec, |script, _| script.on_a_bare_tree());
    // What is left out is not implemented, but for what must be allowed.
    for line in ["mkdir new = ENOSYS", "symlink x new = EPERM", "link file new = EPERM"] {
        assert!(came.results.iter().any(|came| came == line), "{line}: {:#?}", came.results);
    }
}

/// With these capabilities the kernel asks where it would not otherwise.
#[test]
fn they_agree_on_what_is_asked_for_and_then_not_implemented() {
    for capabilities in [
        &["FUSE_POSIX_LOCKS", "FUSE_FLOCK_LOCKS"][..],
        &["FUSE_DO_READDIRPLUS"],
        &["FUSE_POSIX_ACL"],
        &["FUSE_ATOMIC_O_TRUNC"],
        &["FUSE_HAS_IOCTL_DIR"],
    ] {
        let spec = Spec { kind: Kind::Bare, capabilities, ..Spec::default() };
        agree(spec, |script, _| script.on_a_bare_tree());
    }
}

#[test]
fn they_agree_on_a_filesystem_that_implements_nothing() {
    let spec = Spec { kind: Kind::Nothing, ..Spec::default() };
    let came = agree(spec, |script, _| script.on_a_bare_tree());
    assert!(came.requests.is_empty());
    assert!(came.results.iter().any(|line| line == "lstat file = ENOSYS"), "{:#?}", came.results);
}

#[test]
fn many_threads_get_the_same_answers() {
    within(LIMIT, || {
        let spec = Spec { n_threads: Some(4), clone_fd: true, ..Spec::default() };
        let came = |side| {
            run(side, &spec, |script, mounted| {
                let (root, trace) = (script.root().to_owned(), mounted.trace().clone());
                let logs = thread::scope(|scope| {
                    let threads = [0, 1, 2, 3].map(|i| {
                        let dir = root.join(i.to_string());
                        fs::create_dir(&dir).expect("a directory of its own");
                        let trace = trace.clone();
                        scope.spawn(move || {
                            let mut script = Script::new(&dir, &trace);
                            for _ in 0..10 {
                                script.a_few();
                            }
                            script.into_log()
                        })
                    });
                    threads.map(|thread| thread.join().expect("no panic"))
                });
                // Inodes and times depend on who comes first.
                let known = |line: &String| !line.contains("stat") && !line.contains("getdents");
                script.append(logs.into_iter().flatten().filter(known));
            })
        };
        let (ours, theirs) = (came(OURS), came(THEIRS));
        assert_eq!(ours.results, theirs.results);
        let methods = |came: &Came| {
            let mut counted = BTreeMap::new();
            for line in &came.requests {
                let method = line.split("] ").nth(1).unwrap_or(line).split(' ').next();
                *counted.entry(method.unwrap_or_default().to_owned()).or_insert(0) += 1;
            }
            counted
        };
        assert_eq!(methods(&ours), methods(&theirs));
    });
}

#[test]
fn attributes_and_names_have_times_of_their_own() {
    for (entry_ttl, attr_ttl) in [(FOREVER, Duration::ZERO), (Duration::ZERO, FOREVER)] {
        let spec = Spec { entry_ttl, attr_ttl, ..Spec::default() };
        let came = agree(spec, |script, _| {
            script.names();
            script.many_small();
        });
        let count = |method| came.requests.iter().filter(|line| line.contains(method)).count();
        let (lookups, getattrs) = (count("] lookup "), count("] getattr "));
        assert_eq!(lookups > getattrs, attr_ttl == FOREVER, "{lookups} and {getattrs}");
    }
}

#[test]
fn every_notification_has_the_same_effect() {
    let spec = Spec { entry_ttl: FOREVER, attr_ttl: FOREVER, fopen: 1 << 1, ..Spec::default() };
    let came = agree(spec, |script, mounted| {
        script.many_small();
        let notes = [
            Note::InvalidInode { ino: 1, offset: 0, len: 0 },
            Note::InvalidInode { ino: 2, offset: -1, len: 0 },
            Note::InvalidInode { ino: 4, offset: 0, len: 0 },
            Note::InvalidInode { ino: 4, offset: 1, len: 2 },
            Note::InvalidInode { ino: 4, offset: 4096, len: -1 },
            Note::InvalidInode { ino: 9999, offset: 0, len: 0 },
            Note::InvalidEntry { parent: 2, name: "1" },
            Note::InvalidEntry { parent: 2, name: "3" },
            Note::InvalidEntry { parent: 2, name: "unknown" },
            Note::InvalidEntry { parent: 1, name: "small" },
            Note::InvalidEntry { parent: 9999, name: "1" },
            Note::InvalidEntry { parent: 4, name: "not in a directory" },
            Note::Store { ino: 4, offset: 0, data: b"stored" },
            Note::Store { ino: 4, offset: 3, data: b"" },
            Note::Store { ino: 4, offset: 10_000, data: &[b's'; 9000] },
            Note::Store { ino: 9999, offset: 0, data: b"stored" },
            Note::Store { ino: 2, offset: 0, data: b"a directory" },
            Note::Delete { parent: 2, child: 4, name: "1" },
            Note::Delete { parent: 2, child: 6, name: "unknown" },
            Note::Delete { parent: 2, child: 6, name: "5" },
            Note::Delete { parent: 2, child: 9999, name: "7" },
            Note::Delete { parent: 9999, child: 4, name: "1" },
            Note::Delete { parent: 1, child: 2, name: "small" },
            Note::Poll { handle: 0 },
            Note::Poll { handle: 12345 },
        ];
        for note in notes {
            let result = outcome(&mounted.notify(note));
            script.append([format!("{note:.80?}: {result}")]);
            script.look_at(&["", "small", "small/1", "small/3", "small/5", "small/7"]);
        }
    });
    assert!(came.results.iter().filter(|line| line.ends_with(": Ok(())")).count() > 15);
}

#[test]
fn a_name_that_is_too_long_for_the_kernel_is_an_error_on_both() {
    let spec = Spec::default();
    agree(spec, |script, mounted| {
        for len in [255, 1024, 1025, 5000] {
            let name = "n".repeat(len);
            for note in [
                Note::InvalidEntry { parent: 1, name: &name },
                Note::Delete { parent: 1, child: 2, name: &name },
            ] {
                let result = outcome(&mounted.notify(note));
                script.append([format!("{len}: {result}")]);
            }
        }
    });
}

/// No entry is called so, and what the kernel does not know it need not forget.
#[test]
fn an_empty_name_is_no_error() {
    within(LIMIT, || {
        let results = [OURS, THEIRS].map(|side| {
            let mountpoint = Mountpoint::new();
            let mounted = (side.mount)(&Spec::default(), mountpoint.path()).expect("a mount");
            let notes = [
                Note::InvalidEntry { parent: 1, name: "" },
                Note::Delete { parent: 1, child: 2, name: "" },
            ];
            let results = notes.map(|note| outcome(&mounted.notify(note)));
            mounted.end().expect("a clean end");
            results
        });
        assert_eq!(results, [["Ok(())"; 2]; 2]);
    });
}

#[test]
fn files_pass_through_on_both() {
    within(LIMIT, || {
        let came = |side| {
            let backing = tempfile::NamedTempFile::new().expect("a backing file");
            fs::write(backing.path(), b"content of the backing file").expect("written");
            let spec = Spec {
                capabilities: &["FUSE_PASSTHROUGH"],
                max_stack_depth: Some(2),
                backing: Some(backing.path().to_owned()),
                ..Spec::default()
            };
            let came = run(side, &spec, |script, _| {
                script.passed_through();
            });
            (came, fs::read_to_string(backing.path()).expect("text"))
        };
        let (ours, theirs) = (came(OURS), came(THEIRS));
        assert_eq!(difference("results", &ours.0.results, &theirs.0.results), "");
        assert_eq!(ours, theirs);
        assert_eq!(ours.1, "WRITTEN of the backing file");
        let served = |line: &&String| line.contains("] read ") || line.contains("] write ");
        assert_eq!(ours.0.requests.iter().find(served), None);
    });
}

#[test]
fn they_agree_on_who_may_use_the_filesystem() {
    for acl in [Acl::Owner, Acl::RootAndOwner, Acl::All] {
        for options in [&[][..], &["default_permissions"]] {
            let spec = Spec { acl, options, ..Spec::default() };
            let came = agree(spec, |script, mounted| {
                script.a_few();
                let (root, trace) = (script.root().to_owned(), mounted.trace().clone());
                let file = File::create(root.join("open")).expect("root may create");
                let as_whom = |become_it: fn()| {
                    let (root, trace, file) = (&root, &trace, &file);
                    thread::scope(|scope| {
                        let other = scope.spawn(move || {
                            become_it();
                            let mut script = Script::new(root, trace);
                            script.a_few();
                            script.on_an_open_file(file.as_fd());
                            script.into_log()
                        });
                        other.join().expect("no panic")
                    })
                };
                let by_another = as_whom(|| sys::become_user(tests::NOBODY).expect("nobody"));
                script.append(by_another);
                // Root, whose files are another's.
                script.append(as_whom(|| sys::set_fsuid(tests::NOBODY)));
                // What was closed may still be on its way.
                drop(file);
            });
            let refused = came.results.iter().filter(|line| line.ends_with("= EACCES")).count();
            assert_eq!(acl == Acl::All && options.is_empty(), refused == 0, "{:#?}", came.results);
        }
    }
}

#[test]
fn what_is_looked_up_is_forgotten_as_often() {
    undisturbed(LIMIT, || {
        for capabilities in [&[][..], &["FUSE_DO_READDIRPLUS"]] {
            let spec = Spec { capabilities, entry_ttl: FOREVER, ..Spec::default() };
            let forgotten = [OURS, THEIRS].map(|side| {
                let mut forgotten = 0;
                run(side, &spec, |script, mounted| {
                    script.many_small();
                    script.directories();
                    let trace = mounted.trace().clone();
                    assert!(trace.remembered() > 30, "{}: {}", side.name, trace.remembered());
                    eventually(Duration::from_secs(10), "all is forgotten", || {
                        fs::write("/proc/sys/vm/drop_caches", "2").expect("root may");
                        thread::sleep(Duration::from_millis(10));
                        trace.remembered() == 0
                    });
                    forgotten = trace.forgotten();
                });
                forgotten
            });
            assert!(forgotten[0] > 60, "{forgotten:?}");
        }
    });
}

#[test]
fn a_connection_that_somebody_else_mounted_is_served() {
    within(LIMIT, || {
        let came = [OURS, THEIRS].map(|side| {
            let mountpoint = Mountpoint::new();
            let device = File::options().read(true).write(true).open("/dev/fuse").expect("fuse");
            let device = OwnedFd::from(device);
            let data = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
            nix::mount::mount(
                Some("by-hand"),
                mountpoint.path(),
                Some("fuse"),
                nix::mount::MsFlags::empty(),
                Some(data.as_str()),
            )
            .expect("mounted by hand");
            let mounted = (side.from_fd)(&Spec::default(), device).expect("a session");
            let trace = mounted.trace().clone();
            let mut script = Script::new(mountpoint.path(), &trace);
            script.a_few();
            let mut results = script.into_log();
            settle(&trace);
            nix::mount::umount(mountpoint.path()).expect("unmounted by hand");
            results.push(outcome(&mounted.join()));
            (results, trace.lines())
        });
        assert_eq!(came[0], came[1]);
    });
}

#[test]
fn what_is_no_connection_is_refused_by_both() {
    within(LIMIT, || {
        let came = [OURS, THEIRS].map(|side| {
            let null = OwnedFd::from(File::open("/etc/hostname").expect("a file"));
            let unmounted = File::options().read(true).write(true).open("/dev/fuse").expect("fuse");
            [null, unmounted.into()].map(|fd| {
                (side.from_fd)(&Spec::default(), fd).map(drop).expect_err("no connection").kind()
            })
        });
        assert_eq!(came[0], came[1]);
    });
}

/// What differs: fuser's `set_max_write` takes values below 4096, which the kernel raises to 4096.
/// Its `set_time_granularity` does not name the nearest value. Its `add_capabilities` takes all
/// that the kernel offers, also what it cannot honour, upon which the mount is broken; and does
/// not say which capabilities it refuses if it has no name for them.
#[test]
fn the_setters_of_the_kernels_configuration_say_the_same() {
    const EXPECTED: &[(&str, &str)] = &[
        ("set_max_write 0: Err(4096)", "set_max_write 0: Err(1)"),
        ("set_max_write 1: Err(4096)", "set_max_write 1: Ok(16777216)"),
        ("set_max_write 2: Err(4096)", "set_max_write 2: Ok(1)"),
        ("set_max_write 4095: Err(4096)", "set_max_write 4095: Ok(2)"),
        // The value before.
        ("set_max_write 4096: Ok(16777216)", "set_max_write 4096: Ok(4095)"),
        ("set_time_granularity 9: Err(10ns)", "set_time_granularity 9: Err(1ns)"),
        ("set_time_granularity 99: Err(100ns)", "set_time_granularity 99: Err(10ns)"),
        ("set_time_granularity 999999999: Err(1s)", "set_time_granularity 999999999: Err(100ms)"),
    ];
    // SECURITY_CTX, CREATE_SUPP_GROUP, ALLOW_IDMAP without what it needs, OVER_IO_URING, and
    // REQUEST_TIMEOUT without a time.
    const REFUSED: &[u64] = &[1 << 32, 1 << 34, 1 << 40, 1 << 41, 1 << 42];
    within(LIMIT, || {
        let came = [OURS, THEIRS].map(|side| {
            let mountpoint = Mountpoint::new();
            let said = (side.kernel_config)(mountpoint.path());
            assert!(!mountpoint.is_mounted(), "{}", side.name);
            said
        });
        let (added, set): (Vec<_>, Vec<_>) = differing(&came[0], &came[1])
            .into_iter()
            .partition(|(ours, _)| ours.starts_with("add_capabilities"));
        assert_eq!(set, EXPECTED);
        for (ours, theirs) in added {
            let bits = ours.rsplit_once("Err(").and_then(|(_, bits)| bits.strip_suffix(')'));
            let bits: u64 = bits.and_then(|bits| bits.parse().ok()).expect("an error");
            let refused = theirs.ends_with(": Ok(())") && REFUSED.contains(&bits);
            let unnamed = theirs.ends_with(": Err(0)") && bits >= 1 << 43;
            assert!(refused || unnamed, "{ours}, {theirs}");
        }
    });
}

/// What differs: mounted by root, fuser leaves the type `fuse` where the option says
/// `fuse.subtype`, and of two names takes the first; async-fuser does both as `fusermount3` does
/// it, through which an ordinary user's mount goes with either. Errors keep the system's kind.
#[test]
fn a_mount_looks_the_same_to_the_system() {
    within(LIMIT, || {
        let mut differences = Vec::new();
        for (options, acl) in MOUNTED_WITH {
            let spec = Spec { options, acl: *acl, ..Spec::default() };
            let looks = [OURS, THEIRS].map(|side| {
                let mountpoint = Mountpoint::new();
                let mounted = match (side.mount)(&spec, mountpoint.path()) {
                    Ok(mounted) => mounted,
                    Err(error) => return format!("refused: {:?}", error.kind()),
                };
                let mounts = mountpoint.mounts();
                assert_eq!(mounts.len(), 1, "{} with {options:?}", side.name);
                let mount = &mounts[0];
                let look = format!("{} {:?} {}", mount.kind, mount.source, mount.options);
                mounted.end().expect("a clean end");
                look
            });
            let [ours, theirs] = looks;
            if ours != theirs {
                differences.push((*options, ours, theirs));
            }
        }
        let differences: Vec<_> = differences
            .iter()
            .map(|(options, ours, theirs)| (*options, ours.as_str(), theirs.as_str()))
            .collect();
        assert_eq!(differences, EXPECTED_OF_MOUNTS);
    });
}

const EXPECTED_OF_MOUNTS: &[(&[&str], &str, &str)] = &[
    (&["fsname="], "refused: InvalidInput", "refused: Other"),
    (
        &["fsname=first", "fsname=second"],
        "fuse \"second\" rw,nosuid,nodev,relatime,rw,user_id=0,group_id=0",
        "fuse \"first\" rw,nosuid,nodev,relatime,rw,user_id=0,group_id=0",
    ),
    (
        &["subtype=kind"],
        "fuse.kind \"kind\" rw,nosuid,nodev,relatime,rw,user_id=0,group_id=0",
        "fuse \"kind\" rw,nosuid,nodev,relatime,rw,user_id=0,group_id=0",
    ),
    (
        &["fsname=a-name", "subtype=kind"],
        "fuse.kind \"a-name\" rw,nosuid,nodev,relatime,rw,user_id=0,group_id=0",
        "fuse \"a-name\" rw,nosuid,nodev,relatime,rw,user_id=0,group_id=0",
    ),
    (&["no_such_option"], "refused: InvalidInput", "refused: Other"),
];

const MOUNTED_WITH: &[(&[&str], Acl)] = &[
    (&[], Acl::Owner),
    (&[], Acl::RootAndOwner),
    (&[], Acl::All),
    (&["dev"], Acl::Owner),
    (&["nodev"], Acl::Owner),
    (&["suid"], Acl::Owner),
    (&["dev", "suid"], Acl::All),
    (&["nosuid"], Acl::Owner),
    (&["ro"], Acl::Owner),
    (&["rw"], Acl::Owner),
    (&["exec"], Acl::Owner),
    (&["noexec"], Acl::Owner),
    (&["atime"], Acl::Owner),
    (&["noatime"], Acl::Owner),
    (&["dirsync"], Acl::Owner),
    (&["sync"], Acl::Owner),
    (&["async"], Acl::Owner),
    (&["default_permissions"], Acl::All),
    (&["fsname=a-name"], Acl::Owner),
    (&["fsname=a name, with \\ and ,"], Acl::Owner),
    (&["fsname="], Acl::Owner),
    (&["fsname=first", "fsname=second"], Acl::Owner),
    (&["subtype=kind"], Acl::Owner),
    (&["fsname=a-name", "subtype=kind"], Acl::Owner),
    (&["max_read=8192"], Acl::Owner),
    (&["allow_other"], Acl::Owner),
    (&["no_such_option"], Acl::Owner),
    (&["ro", "noexec", "noatime", "sync", "dirsync", "default_permissions"], Acl::All),
];

#[test]
fn options_that_contradict_each_other_are_refused_by_both() {
    within(LIMIT, || {
        let came = [OURS, THEIRS].map(|side| (side.refused_options)(Mountpoint::new().path()));
        assert_eq!(came[0], came[1]);
        assert!(came[0].iter().all(|line| line.contains("Err(InvalidInput")), "{:?}", came[0]);
    });
}

/// What differs: an error without a number becomes the number of its kind, where fuser knows only
/// `EIO`.
#[test]
fn constants_and_conversions_are_the_same() {
    let (ours, theirs) = ((OURS.values)(), (THEIRS.values)());
    let differences = differing(&ours, &theirs);
    assert!(!differences.is_empty());
    for (ours, theirs) in differences {
        let of_a_kind = ours.starts_with("Errno from ") && !ours.contains("io::Error");
        assert!(of_a_kind && theirs.ends_with(": 5"), "{ours}, {theirs}");
    }
}

#[test]
fn values_print_the_same() {
    let (ours, theirs) = ((OURS.formats)(), (THEIRS.formats)());
    // Only an errno has a name here.
    assert_eq!(differing(&ours, &theirs), [("ENOENT", "Errno(2)")]);
}

/// Every way for a session to begin and end: what the methods return, whether it is mounted, and
/// that `destroy` runs once.
#[test]
fn sessions_begin_and_end_the_same_way() {
    const SAME: &[Life] = &[
        Life::RunUntilUnmountedByCallable,
        Life::RunUntilUnmountedFromOutside,
        Life::SpawnAndUmountAndJoin,
        Life::SpawnAndJoinAfterOutside,
        Life::SpawnAndDrop,
        Life::DropWithoutRunning,
        Life::UnmountBeforeRunning,
        Life::UnmountTwice,
        Life::InitFails,
        Life::InitFailsWithoutANumber,
        Life::NoThreads,
        Life::FourThreadsWithAbort,
    ];
    for &life in SAME {
        let [ours, theirs] = lives(life);
        assert_eq!(ours, theirs, "{life:?}");
        let end = ["destroyed 1 times", "in the end mounted false"];
        assert_eq!(ours[ours.len() - 2..], end, "{life:?}: {ours:#?}");
    }
}

/// Lives through the same on both sides, ours first.
fn lives(life: Life) -> [Vec<String>; 2] {
    within(LIMIT, move || {
        [OURS, THEIRS].map(|side| (side.lifecycle)(life, Mountpoint::new().path()))
    })
}

#[track_caller]
fn lives_differently(life: Life, expected: &[(&str, &str)]) {
    let [ours, theirs] = lives(life);
    assert_eq!(differing(&ours, &theirs), expected, "{life:?}: {ours:#?}");
}

/// fuser's check for being mounted is inverted: after the end it unmounts once more, which fails,
/// or hits what is mounted there by then.
#[test]
fn what_was_unmounted_from_outside_is_not_unmounted_again() {
    lives_differently(
        Life::UmountAndJoinAfterOutside,
        &[("umount_and_join: Ok(())", "umount_and_join: Err(InvalidInput, Some(22))")],
    );
}

/// fuser refuses to unmount what is in use, and leaves it mounted with nobody to unmount it.
#[test]
fn what_is_in_use_is_unmounted_lazily() {
    lives_differently(
        Life::UmountAndJoinWhileBusy,
        &[
            ("still mounted false", "still mounted true"),
            ("umount_and_join: Ok(())", "umount_and_join: Err(ResourceBusy, Some(16))"),
        ],
    );
}

/// An abort is an end, also where the filesystem wants to be told of it by an error number.
#[test]
fn an_abort_with_an_error_number_is_a_clean_end() {
    lives_differently(
        Life::AbortWithAbortError,
        &[("join: Ok(())", "join: Err(ConnectionAborted, Some(103))")],
    );
}

/// In fuser a panic ends the session's thread: who asks next waits for ever.
#[test]
fn a_panic_in_a_method_is_survived() {
    let [ours, theirs] = lives(Life::PanicInAMethod);
    assert_eq!(
        ours[1..4],
        ["panic: Err(Uncategorized, Some(5))", "after it: Err(NotFound, Some(2))", "join: Ok(())",]
    );
    assert_eq!(theirs[1..3], ["panic: Err(Uncategorized, Some(5))", "join: Err(Other, None)"]);
    assert_eq!(ours[4..], theirs[3..]);
}

/// Of times before 1970 with a fraction of a second, fuser is up to two seconds off.
#[test]
fn fractions_of_seconds_before_1970_are_exact() {
    within(LIMIT, || {
        let came = [OURS, THEIRS]
            .map(|side| run(side, &Spec::default(), |script, _| script.fractions_before_1970()));
        let stats = |came: &Came| {
            came.results.iter().filter(|line| line.contains("stat before =")).cloned().collect()
        };
        let [ours, theirs]: [Vec<String>; 2] = [stats(&came[0]), stats(&came[1])];
        assert!(ours[0].contains(" -1.500000000 -2.000000001 "), "{ours:?}");
        assert!(ours[1].contains(" -1000000.999999999 -2.000000001 "), "{ours:?}");
        assert_ne!(ours, theirs);
    });
}

/// fuser 0.18 takes the capability, and the first `setxattr` panics its thread.
#[test]
fn setxattr_with_its_extension_is_as_without() {
    within(LIMIT, || {
        let with = |capabilities| {
            let spec = Spec { capabilities, ..Spec::default() };
            run(OURS, &spec, |script, _| script.xattrs())
        };
        assert_eq!(with(&["FUSE_SETXATTR_EXT"]), with(&[]));
    });
}

#[test]
fn a_program_for_0_18_runs_on_both() {
    within(LIMIT, || {
        let came = [OURS, THEIRS].map(|side| {
            let mountpoint = Mountpoint::new();
            let at = mountpoint.path().to_owned();
            let program = thread::spawn(move || (side.program)(&at));
            eventually(Duration::from_secs(10), "mounted", || mountpoint.is_mounted());
            let poem = mountpoint.join("poem.txt");
            let names: Vec<_> = fs::read_dir(mountpoint.path())
                .expect("a directory")
                .map(|entry| entry.expect("an entry").file_name())
                .collect();
            let metadata = fs::metadata(&poem).expect("a file");
            let mut said = vec![
                fs::read_to_string(&poem).expect("a poem"),
                format!("{names:?}"),
                format!(
                    "{:o} {} {}",
                    metadata.permissions().mode(),
                    metadata.uid(),
                    metadata.len()
                ),
                outcome(&fs::write(&poem, "x")),
                outcome(&fs::read_to_string(mountpoint.join("prose.txt"))),
                mountpoint.mounts()[0].options.clone(),
            ];
            nix::mount::umount(mountpoint.path()).expect("nobody uses it");
            said.push(outcome(&program.join().expect("no panic")));
            said
        });
        assert_eq!(came[0], came[1]);
        assert!(came[0][0].starts_with("Over the wintry"), "{:?}", came[0]);
    });
}

#[test]
fn a_program_for_0_17_runs() {
    within(LIMIT, || {
        let mountpoint = Mountpoint::new();
        let counts = || {
            let counter = mountpoint.join("counter");
            assert_eq!(fs::read_to_string(&counter).expect("a number"), "0\n");
            fs::write(&counter, "41\n").expect("a number can be written");
            assert_eq!(fs::read_to_string(&counter).expect("a number"), "41\n");
            let error = fs::write(&counter, "many").expect_err("no number");
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
            let mut some = [0; 1];
            let file = File::open(&counter).expect("a file");
            assert_eq!(file.read_at(&mut some, 1).expect("a digit"), 1);
            assert_eq!(&some, b"1");
            assert!(mountpoint.mounts()[0].has("noexec"));
        };
        let session = program_017::background(mountpoint.path()).expect("a mount");
        counts();
        session.umount_and_join().expect("a clean end");
        assert!(!mountpoint.is_mounted());

        let at = mountpoint.path().to_owned();
        let program = thread::spawn(move || program_017::foreground(&at));
        eventually(Duration::from_secs(10), "mounted", || mountpoint.is_mounted());
        counts();
        nix::mount::umount(mountpoint.path()).expect("nobody uses it");
        program.join().expect("no panic").expect("a clean end");
    });
}

#[test]
fn a_program_for_the_experimental_module_runs_on_both() {
    within(LIMIT, || {
        let came = [OURS, THEIRS].map(|side| {
            let mountpoint = Mountpoint::new();
            let end = (side.experimental)(mountpoint.path()).expect("a mount");
            let mut said: Vec<_> = ["10", "19", "20", "word", "panic", "11"]
                .iter()
                .map(|name| outcome(&fs::read_to_string(mountpoint.join(name))))
                .collect();
            let names: Vec<_> = fs::read_dir(mountpoint.path())
                .expect("a directory")
                .map(|entry| entry.expect("an entry").file_name())
                .collect();
            said.push(format!("{names:?}"));
            said.push(outcome(&end()));
            assert!(!mountpoint.is_mounted());
            said
        });
        assert_eq!(came[0], came[1]);
        assert_eq!(came[0][0], "Ok(\"10 for 0:0\\n\")");
        assert!(came[0][4].contains("Some(5)"), "{:?}", came[0]);
    });
}

/// Every number in the answer to INIT. What differs: the minor version, which in fuser is always
/// 40; and an answer that is too short for the number of pages does not promise one here.
#[test]
fn init_is_answered_the_same() {
    const MINOR: usize = 5;
    const FLAGS: usize = 7;
    const MAX_PAGES: u32 = 1 << 22;
    within(LIMIT, || {
        let capabilities: &[&[&str]] = &[
            &[],
            &["FUSE_POSIX_LOCKS", "FUSE_FLOCK_LOCKS", "FUSE_WRITEBACK_CACHE"],
            &["FUSE_DO_READDIRPLUS", "FUSE_DONT_MASK", "FUSE_ATOMIC_O_TRUNC"],
        ];
        for minor in [19, 22, 23, 27, 28, 31, 35, 36, 38, 40, 44, 45, 46, 60] {
            for capabilities in capabilities {
                let spec = Spec {
                    capabilities,
                    max_write: Some(65_536),
                    max_background: Some(20),
                    time_granularity: Some(Duration::from_micros(1)),
                    ..Spec::default()
                };
                let [mut ours, mut theirs] =
                    [OURS, THEIRS].map(|side| init_answer(side, &spec, 7, minor));
                let take = |answer: &mut Vec<u32>| std::mem::take(&mut answer[MINOR]);
                assert_eq!((take(&mut ours.1), take(&mut theirs.1)), (minor.min(45), 40));
                if minor < 23 {
                    theirs.1[FLAGS] &= !MAX_PAGES;
                }
                assert_eq!(ours, theirs, "7.{minor} with {capabilities:?}");
            }
        }
    });
}

/// Both answer a newer major version with their own, and wait for another INIT. Behind the version
/// fuser sends zeroes.
#[test]
fn a_newer_protocol_is_answered_with_the_own_version() {
    within(LIMIT, || {
        let [ours, theirs] = [OURS, THEIRS].map(|side| init_answer(side, &Spec::default(), 8, 3).1);
        assert_eq!(ours[4..6], [7, 45]);
        assert_eq!(theirs[4..6], [7, 40]);
        assert_eq!(ours[1..4], theirs[1..4]);
        assert_eq!((ours.len(), theirs[6..].iter().sum()), (6, 0));
    });
}

/// Sends an INIT of this version to a session over a socket: what it says, and its answer.
fn init_answer(side: Side, spec: &Spec, major: u32, minor: u32) -> (String, Vec<u32>) {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    let (kernel, session) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .expect("a socket");
    // Bit 30 says that there are more than 32.
    let mut body = vec![major, minor, 131_072, !(1 << 30)];
    if minor >= 36 {
        body[3] = u32::MAX;
        body.extend([u32::MAX]);
        body.extend([0; 11]);
    }
    // len, INIT, unique, nodeid, uid, gid, pid, padding
    let len = 40 + 4 * body.len() as u32;
    let mut request = vec![len, 26, 2, 0, 0, 0, 0, 0, 0, 0];
    request.extend(body);
    let bytes: Vec<u8> = request.iter().flat_map(|number| number.to_ne_bytes()).collect();
    nix::unistd::write(&kernel, &bytes).expect("sent");
    // It is left with one request: what waits for a second one ends.
    nix::sys::socket::shutdown(kernel.as_raw_fd(), nix::sys::socket::Shutdown::Write)
        .expect("shut down");
    let said = (side.init_answer)(spec, session);
    let mut answer = [0; 200];
    let len = nix::unistd::read(&kernel, &mut answer).expect("an answer");
    let numbers =
        answer[..len].chunks_exact(4).map(|it| u32::from_ne_bytes(it.try_into().expect("4")));
    (said, numbers.collect())
}

/// What no system call of the script leads to, and what a kernel of another version asks.
#[test]
fn requests_are_answered_with_the_same_bytes() {
    /// The two ends of a message's body: numbers, then bytes.
    fn body(numbers: &[u64], bytes: &[u8]) -> Vec<u8> {
        numbers.iter().flat_map(|it| it.to_ne_bytes()).chain(bytes.iter().copied()).collect()
    }
    /// Two numbers of half the size.
    fn two(low: u32, high: u32) -> u64 {
        u64::from(low) | u64::from(high) << 32
    }

    within(LIMIT, || {
        let (root, dir, file) = (1, 2, 3);
        let requests = [
            ("lookup", 1, root, body(&[], b"x\0")),
            ("mkdir", 9, root, body(&[two(0o755, 0o22)], b"d\0")),
            ("create", 35, root, body(&[two(0o2, 0o644), 0], b"f\0")),
            ("write", 16, file, body(&[101, 2, two(5, 0), 9, 0], b"hello")),
            (
                "write beyond the largest",
                16,
                file,
                body(&[101, 1 << 40, two(5, 0), 9, 0], b"hello"),
            ),
            ("read", 15, file, body(&[101, 0, two(100, 2), 9, 0], b"")),
            ("read beyond the end", 15, file, body(&[101, 1 << 40, two(100, 0), 0, 0], b"")),
            ("bmap", 37, file, body(&[7, two(512, 0)], b"")),
            ("rename without flags", 12, root, body(&[dir], b"f\0g\0")),
            ("rename what is not there", 12, root, body(&[dir], b"f\0g\0")),
            ("rename2", 45, dir, body(&[root, two(1, 0)], b"g\0f\0")),
            ("lseek", 46, file, body(&[101, 0, two(4, 0)], b"")),
            ("getlk", 31, file, body(&[101, 77, 0, 99, two(1, 5), 0], b"")),
            ("setlk", 32, file, body(&[101, 77, 0, 99, two(1, 5), 0], b"")),
            ("getlk of a lock", 31, file, body(&[101, 78, 0, 9, two(1, 6), 0], b"")),
            ("setxattr", 21, file, body(&[two(3, 0)], b"user.x\0val")),
            ("getxattr's size", 22, file, body(&[two(0, 0)], b"user.x\0")),
            ("getxattr", 22, file, body(&[two(10, 0)], b"user.x\0")),
            ("getxattr, too small", 22, file, body(&[two(2, 0)], b"user.x\0")),
            ("listxattr", 23, file, body(&[two(100, 0)], b"")),
            ("removexattr", 24, file, body(&[], b"user.x\0")),
            ("statfs", 17, root, body(&[], b"")),
            ("opendir", 27, root, body(&[0], b"")),
            ("readdir", 28, root, body(&[102, 0, two(4096, 0), 0, 0], b"")),
            ("readdir of little", 28, root, body(&[102, 0, two(60, 0), 0, 0], b"")),
            ("readdir of nothing", 28, root, body(&[102, 0, two(8, 0), 0, 0], b"")),
            ("readdirplus", 44, root, body(&[102, 0, two(4096, 0), 0, 0], b"")),
            ("readdirplus of little", 44, root, body(&[102, 1, two(320, 0), 0, 0], b"")),
            ("poll", 40, file, body(&[101, 3, two(0, 1)], b"")),
            ("fallocate", 43, file, body(&[101, 0, 50, two(0, 0)], b"")),
            ("copy_file_range", 47, file, body(&[101, 0, file, 101, 60, 10, 0], b"")),
            ("access", 34, file, body(&[two(4, 0)], b"")),
            ("symlink", 6, root, body(&[], b"s\0target\0")),
            ("readlink", 5, 4, body(&[], b"")),
            ("link", 13, root, body(&[file], b"l\0")),
            ("mknod", 8, root, body(&[two(0o10644, 0), two(0o22, 0)], b"p\0")),
            ("getattr", 3, file, body(&[two(1, 0), 101], b"")),
            ("setattr", 4, file, setattr(1 | 1 << 3 | 1 << 5, &[(7, 3), (12, 0o100600), (4, 5)])),
            ("setattr of nobody's", 4, 99, setattr(1, &[(12, 0o100600)])),
            ("fsync", 20, file, body(&[101, two(1, 0)], b"")),
            ("fsyncdir", 30, root, body(&[102, two(0, 0)], b"")),
            ("flush", 25, file, body(&[101, 0, 77], b"")),
            ("release", 18, file, body(&[101, two(2, 1), 77], b"")),
            ("releasedir", 29, root, body(&[102, two(2, 0), 0], b"")),
            ("unlink", 10, root, body(&[], b"f\0")),
            ("rmdir", 11, root, body(&[], b"d\0")),
            ("syncfs", 50, root, body(&[0], b"")),
            ("tmpfile", 51, root, body(&[two(0o2, 0o644), 0], b"t\0")),
            ("statx", 52, file, body(&[0, 0, two(0, 0xfff)], b"")),
            ("what is unknown", 999, file, body(&[1, 2, 3], b"")),
        ];
        let answers = [OURS, THEIRS].map(|side| {
            let mut wire = Wire::new();
            let session = wire.session.take().expect("not taken yet");
            wire.send(26, 0, &body(&[two(7, 40), two(131_072, 0)], &[0; 48]));
            let mounted = (side.from_fd)(&Spec::default(), session).expect("a session");
            let mut answers = vec![wire.receive()];
            for (_, opcode, node, body) in &requests {
                wire.send(*opcode, *node, body);
                answers.push(wire.receive());
            }
            wire.send(38, 0, &[]);
            answers.push(wire.receive());
            let end = outcome(&mounted.join());
            (answers, end)
        });
        let [(ours, our_end), (theirs, their_end)] = answers;
        let names = ["init"].into_iter().chain(requests.iter().map(|(name, ..)| *name));
        for ((name, ours), theirs) in names.chain(["destroy"]).zip(&ours).zip(&theirs) {
            // What INIT is answered is compared elsewhere.
            assert!(name == "init" || ours == theirs, "{name}: {ours:x?}, {theirs:x?}");
        }
        assert_eq!((ours.len(), our_end), (theirs.len(), their_end));
        let succeeded = ours.iter().filter(|answer| answer[4..8] == [0; 4]).count();
        assert!(succeeded > 35, "{succeeded} of {} were understood", ours.len());
    });
}

/// The body of a SETATTR: which fields are meant, and 32-bit numbers at their places behind.
fn setattr(valid: u32, numbers: &[(usize, u32)]) -> Vec<u8> {
    let mut words = [0; 22];
    words[0] = valid;
    for (at, number) in numbers {
        words[*at] = *number;
    }
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// A socket in the device's place.
struct Wire {
    kernel: OwnedFd,
    session: Option<OwnedFd>,
    unique: u64,
}

impl Wire {
    fn new() -> Self {
        use nix::sys::socket::{
            AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt::ReceiveTimeout,
        };

        let (kernel, session) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .expect("a socket");
        let patience = nix::sys::time::TimeVal::new(5, 0);
        setsockopt(&kernel, ReceiveTimeout, &patience).expect("a limit");
        Self { kernel, session: Some(session), unique: 0 }
    }

    fn send(&mut self, opcode: u32, node: u64, body: &[u8]) {
        self.unique += 2;
        let len = 40 + body.len() as u32;
        let mut request = Vec::new();
        request.extend([len, opcode].iter().flat_map(|it| it.to_ne_bytes()));
        request.extend([self.unique, node, 0, 0].iter().flat_map(|it| it.to_ne_bytes()));
        request.extend(body);
        assert_eq!(nix::unistd::write(&self.kernel, &request), Ok(request.len()));
    }

    fn receive(&self) -> Vec<u8> {
        let mut answer = vec![0; 8192];
        let len = nix::unistd::read(&self.kernel, &mut answer).expect("an answer");
        answer.truncate(len);
        answer
    }
}

#[test]
fn a_backing_file_can_be_registered_from_outside() {
    within(LIMIT, || {
        for (capabilities, max_stack_depth) in [(&["FUSE_PASSTHROUGH"][..], Some(2)), (&[], None)] {
            let spec = Spec { capabilities, max_stack_depth, ..Spec::default() };
            let came = [OURS, THEIRS].map(|side| {
                let backing = tempfile::NamedTempFile::new().expect("a backing file");
                (side.create_raw)(&spec, Mountpoint::new().path(), backing.as_file())
            });
            assert_eq!(came[0], came[1]);
            assert_eq!(came[0][0].starts_with("file Ok"), max_stack_depth.is_some(), "{came:?}");
        }
    });
}

/// `fusermount3` mounts and stays.
#[test]
fn they_agree_when_a_helper_mounts() {
    undisturbed(LIMIT, || {
        for acl in [Acl::All, Acl::RootAndOwner] {
            let spec = Spec { options: &["auto_unmount", "fsname=helped"], acl, ..Spec::default() };
            let came = [OURS, THEIRS].map(|side| {
                run(side, &spec, |script, _| {
                    let mounts = tests::mounts();
                    let mount = mounts.iter().find(|mount| mount.path == script.root());
                    let mount = mount.expect("mounted");
                    script.append([format!("{} {:?} {}", mount.kind, mount.source, mount.options)]);
                    script.a_few();
                })
            });
            assert_eq!(difference("results", &came[0].results, &came[1].results), "");
            assert_eq!(difference("requests", &came[0].requests, &came[1].requests), "");
        }
    });
}
