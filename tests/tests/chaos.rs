//! Filesystems that end at a random moment in one of many ways, while everybody uses them: nobody
//! hangs, and nothing is left.
//!
//! `ASYNC_FUSER_CHAOS_ROUNDS` says how often. `ASYNC_FUSER_CHAOS_SEED` repeats one round, as far as
//! a race can be repeated.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use tests::{Mountpoint, Random, Running, alone_with_mounts, eventually, helper, open_files, run};

const ENGINES: &[&str] = &["sync", "sync-4", "current", "two", "two-4"];

const ENDS: &[End] = &[End::Abort, End::LazyUnmount, End::PlainUnmount, End::Terminate, End::Kill];

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum End {
    Abort,
    LazyUnmount,
    PlainUnmount,
    Terminate,
    Kill,
}

/// How long anybody may take to be gone.
const GONE: Duration = Duration::from_secs(40);

#[test]
fn whatever_ends_a_filesystem_in_use_nobody_hangs_and_nothing_is_left() {
    let number = |name| env::var(name).ok().map(|text| text.parse().expect("a number"));
    let one: Option<u64> = number("ASYNC_FUSER_CHAOS_SEED");
    let rounds = if one.is_some() { 1 } else { number("ASYNC_FUSER_CHAOS_ROUNDS").unwrap_or(200) };
    let limit = Duration::from_secs(120 + 2 * rounds);
    alone_with_mounts(limit, || {
        let mut seeds = Random::new(Random::seed());
        let (mut lived, mut uses) = (BTreeMap::<_, usize>::new(), 0);
        let (begun, before) = (Instant::now(), open_files(process::id()).len());
        for round in 0..rounds {
            let mut said = Said(one.unwrap_or_else(|| seeds.next()), true);
            let (what, used) = one_round(&mut Random::new(said.0));
            *lived.entry(what).or_default() += 1;
            uses += used;
            let now = open_files(process::id()).len();
            assert!(now <= before, "round {round}, {what:?}: {now} descriptors, {before} before");
            said.1 = false;
        }
        println!("{rounds} rounds in {:.1?}, {uses} uses: {lived:?}", begun.elapsed());
        assert!(uses > rounds * 20 || rounds < 10, "{uses} uses");
    });
}

/// Says the seed of a round that fails.
struct Said(u64, bool);

impl Drop for Said {
    fn drop(&mut self) {
        if self.1 {
            eprintln!("ASYNC_FUSER_CHAOS_SEED={}", self.0);
        }
    }
}

/// Lives through one life of a filesystem. Returns what served it, how it ended, and how often those
/// used it who were not killed.
fn one_round(random: &mut Random) -> ((&'static str, End), u64) {
    let (engine, end) = (*random.choose(ENGINES), *random.choose(ENDS));
    let at = Mountpoint::new();
    // What is below is not to be written to when the filesystem is gone.
    let below = MsFlags::MS_RDONLY;
    mount(Some("below"), at.path(), Some("tmpfs"), below, None::<&str>).expect("a tmpfs");
    let writeback = ["writeback"].into_iter().filter(|_| random.below(3) == 0);
    let mut server =
        run(helper("chaos")).arg("serve").arg(at.path()).arg(engine).args(writeback).start();
    server.wait_for("ready", GONE);
    let connection = at.connection();
    let mut users: Vec<_> = (0..2)
        .map(|_| {
            let seed = random.next().to_string();
            run(helper("chaos")).arg("use").arg(at.path()).arg(seed).start()
        })
        .collect();
    thread::sleep(Duration::from_millis(30 + random.below(120)));
    if random.below(3) == 0 {
        // Somebody goes in the middle of whatever it is.
        let mut user = users.swap_remove(0);
        user.signal(Signal::SIGKILL);
        ends(&mut user, engine, end);
    }

    let said = match end {
        End::Abort => {
            connection.abort();
            all_end(&mut users, engine, end);
            Some(ends(&mut server, engine, end))
        }
        End::LazyUnmount => {
            umount2(at.path(), MntFlags::MNT_DETACH).expect("a lazy unmount");
            all_end(&mut users, engine, end);
            Some(ends(&mut server, engine, end))
        }
        End::PlainUnmount => {
            // It is refused as long as anybody has anything open.
            let is_busy = umount2(at.path(), MntFlags::empty()).is_err();
            if is_busy {
                users.iter().for_each(|user| user.signal(Signal::SIGKILL));
            }
            all_end(&mut users, engine, end);
            if is_busy {
                eventually(GONE, "nobody keeps it busy", || {
                    umount2(at.path(), MntFlags::empty()).is_ok()
                });
            }
            Some(ends(&mut server, engine, end))
        }
        End::Terminate => {
            server.signal(Signal::SIGTERM);
            let said = ends(&mut server, engine, end);
            all_end(&mut users, engine, end);
            // The synchronous engine does not listen, and leaves its mount behind.
            (!engine.starts_with("sync")).then_some(said)
        }
        End::Kill => {
            server.signal(Signal::SIGKILL);
            ends(&mut server, engine, end);
            all_end(&mut users, engine, end);
            None
        }
    };
    match said {
        Some(said) => assert!(said.contains("ended well"), "{engine}, {end:?}: {said}"),
        None => umount2(at.path(), MntFlags::empty()).expect("a dead mount can be unmounted"),
    }
    let left: Vec<_> = at.mounts().into_iter().filter(|mount| mount.is_fuse()).collect();
    assert!(left.is_empty(), "{engine}, {end:?}: {left:?}");
    assert_eq!(fs::read_dir(at.path()).expect("what is below").count(), 0, "{engine}, {end:?}");
    let used = users.iter().filter_map(|user| user.stdout().trim().parse::<u64>().ok()).sum();
    ((engine, end), used)
}

fn all_end(users: &mut [Running], engine: &str, end: End) {
    users.iter_mut().for_each(|user| drop(ends(user, engine, end)));
}

/// Waits for a process to end, and returns all it said. Panics if it hangs, with where it does.
#[track_caller]
fn ends(process: &mut Running, engine: &str, end: End) -> String {
    let begun = Instant::now();
    while !process.has_ended() {
        assert!(
            begun.elapsed() < GONE,
            "{engine}, {end:?}: a process hangs, {:?}\n{}",
            states(process.pid()),
            process.stacks()
        );
        thread::sleep(Duration::from_millis(2));
    }
    process.stdout() + &process.stderr()
}

/// The state of each thread of a process: `D` cannot even be killed.
fn states(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"));
    let stats = tasks.into_iter().flatten().flatten();
    let stats = stats.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    stats.filter_map(|stat| Some(stat.rsplit_once(") ")?.1[..1].to_owned())).collect()
}
