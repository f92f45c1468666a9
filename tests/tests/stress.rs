//! Crowds: thousands of callers at the same time, who are interrupted and killed, and a filesystem
//! that is unmounted under them.

#![cfg(target_os = "linux")]

use std::fs;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;
use tests::{
    Census, Engine, Mountpoint, ProbeOptions, Random, Running, alone_with_mounts, eventually,
    helper, memory, run, thread_count,
};

/// How long anybody may take to be gone.
const GONE: Duration = Duration::from_secs(60);

#[test]
fn ten_thousand_callers_wait_in_one_thread_and_little_memory() {
    const CALLERS: u32 = 10_000;
    // Without optimization futures are several times as large.
    const EACH: u64 = 8 << 10;
    for engine in [&["--async", "current"][..], &["--async", "two", "--threads", "4"]] {
        let at = Mountpoint::new();
        let go = at.beside().join("go");
        let mut server = run(helper("probe_daemon"))
            .arg(at.path())
            .args(engine)
            .arg("--let-go-by")
            .arg(&go)
            .start();
        server.wait_for("ready", GONE);
        let connection = at.connection();
        fs::read(at.join("plain")).expect("a file");
        let (threads, before) = (thread_count(server.pid()), memory(server.pid()));
        let begun = Instant::now();
        let mut crowd = crowd_on(&at, CALLERS as usize, 0, &["stuck"]);
        eventually(GONE, "all of them wait", || {
            connection.waiting().is_some_and(|waiting| waiting >= CALLERS)
        });
        // Those that wait for the server and not in it would not be counted.
        eventually(GONE, "the server has nothing to do", || is_idle(server.pid()));
        let (waiting, while_all_wait) = (begun.elapsed(), memory(server.pid()));
        assert_eq!(thread_count(server.pid()), threads, "{engine:?}");
        let plain = Instant::now();
        fs::read(at.join("plain")).expect("the next is served at once");
        let plain = plain.elapsed();
        fs::write(&go, "").expect("a file");
        let ended = crowd.wait(GONE);
        assert!(ended.stdout.contains(&format!("{CALLERS} have read")), "{engine:?}: {ended:?}");
        run("umount").arg(at.path()).ok();
        let ended = server.wait(GONE);
        assert!(ended.stdout.contains("ended well"), "{ended:?}");
        let each = while_all_wait.saturating_sub(before) / u64::from(CALLERS);
        println!(
            "{engine:?}: {CALLERS} wait after {waiting:.1?} in {threads} threads and {} MiB, {each} \
             bytes each; another is served in {plain:.1?}",
            while_all_wait >> 20
        );
        assert!(each < EACH, "{each} bytes for each that waits");
        fs::remove_file(&go).expect("a file");
    }
}

#[test]
fn crowds_come_and_go_and_are_killed_and_nothing_is_left() {
    alone_with_mounts(Duration::from_secs(400), || {
        // What is made once and kept.
        for engine in Engine::few() {
            crowds_on(&engine, 10);
        }
        let mut memories = Vec::new();
        for engine in Engine::all() {
            let before = Census::here();
            crowds_on(&engine, 500);
            before.assert_nothing_left();
            memories.push(memory(std::process::id()) >> 20);
        }
        println!("{memories:?} MiB after each engine");
        assert!(memories.iter().all(|after| *after < 400), "{memories:?} MiB after each engine");
    });
}

/// Two crowds of so many come and are killed, one after the other; two more are there when it is
/// unmounted.
fn crowds_on(engine: &Engine, callers: usize) {
    let slow = Duration::from_millis(if engine.workers.is_some() { 20 } else { 1 });
    let at = Mountpoint::new();
    let (session, watch) = engine.spawn(ProbeOptions { slow, ..ProbeOptions::default() }, &at);
    let session = session.expect("a mount");
    at.connection();
    let mut random = Random::new(Random::seed());
    let mut crowd = || crowd_on(&at, callers, random.next(), &[]);
    let crowds = [crowd(), crowd()];
    for mut crowd in crowds {
        std::thread::sleep(Duration::from_millis(300));
        crowd.signal(Signal::SIGKILL);
        crowd.wait(GONE);
    }
    // The releases of those who were killed come after them.
    eventually(GONE, "everything is released", || watch.open_handles() == 0);
    eventually(GONE, "no method runs", || watch.running() == 0);
    assert_eq!(watch.unknown_releases(), 0, "{engine:?}");

    let crowds = [crowd(), crowd()];
    std::thread::sleep(Duration::from_millis(300));
    umount2(at.path(), MntFlags::MNT_DETACH).expect("an unmount");
    for mut crowd in crowds {
        let ended = crowd.wait(GONE);
        assert!(ended.stdout.contains(" done"), "{engine:?}: {ended:?}");
    }
    eventually(GONE, "the session ends", || session.is_finished());
    session.join().expect("a clean end");
    watch.assert_ended_well();
    assert!(!at.is_mounted());
    println!("{callers} callers each, {:?}: {:?}", engine.workers, watch.all_calls());
}

/// A crowd that is at it.
fn crowd_on(at: &Mountpoint, callers: usize, seed: u64, file: &[&str]) -> Running {
    let mut crowd = run(helper("crowd"))
        .arg(at.path())
        .args([callers.to_string(), seed.to_string()])
        .args(file)
        .start();
    crowd.wait_for("ready", GONE);
    crowd
}

/// Whether no thread of a process runs, twice in a row.
fn is_idle(pid: u32) -> bool {
    let used = || fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    // The times it has used are fields 14 and 15, behind a name in parentheses.
    let time = |stat: String| -> Vec<String> {
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        fields.split(' ').skip(11).take(2).map(str::to_owned).collect()
    };
    let before = time(used());
    std::thread::sleep(Duration::from_millis(100));
    time(used()) == before
}
