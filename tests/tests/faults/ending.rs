//! Ends of sessions: from outside, from inside, in use and not.

use std::fs;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use async_fuser::*;
use nix::errno::Errno as Code;
use nix::mount::{MntFlags, umount2};
use tests::{Census, Mountpoint, Probe, ProbeOptions, alone, eventually, run, within};

use crate::*;

#[test]
fn an_unmount_from_outside_ends_an_idle_session() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            fs::read_dir(mounted.at.path()).expect("a listing");
            run("umount").arg(mounted.at.path()).ok();
            mounted.assert_ends();
        }
    });
}

#[test]
fn an_unmount_from_outside_ends_a_session_nobody_ever_used() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            umount2(mounted.at.path(), MntFlags::empty()).expect("an unmount");
            mounted.assert_ends();
        }
    });
}

#[test]
fn a_lazy_unmount_under_load_frees_everybody_and_ends_after_the_last() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            let load = Load::on(mounted.at.path());
            let slow: Vec<_> = (0..3).map(|_| reading(mounted.join("slow"))).collect();
            mounted.watch.wait_for_calls("read", 20, SOON);
            run("umount").arg("-l").arg(mounted.at.path()).ok();
            // The path is only a directory now.
            assert_errno(load.cut_off(), &[libc::ENOENT]);
            for slow in slow {
                if let Err(error) = slow.join().expect("no panic") {
                    assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "it came too late");
                }
            }
            assert_eq!(mounted.watch.running_at_destroy(), 0);
            mounted.assert_ends();
        }
    });
}

#[test]
fn a_plain_unmount_of_a_busy_filesystem_is_refused_and_changes_nothing() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            let mut file = mounted.open("direct");
            let refused = run("umount").arg(mounted.at.path()).output();
            assert!(!refused.succeeded() && refused.stderr.contains("busy"), "{refused:?}");
            assert!(read_on(&mut file).expect("it goes on") > 0);

            umount2(mounted.at.path(), MntFlags::MNT_DETACH).expect("a lazy unmount");
            assert!(!mounted.at.is_mounted());
            thread::sleep(Duration::from_millis(50));
            assert!(!mounted.session.is_finished(), "a file is open");
            assert_eq!(read_on(&mut file).expect("the open file goes on"), 0, "its end");
            drop(file);
            mounted.assert_ends();
        }
    });
}

#[test]
fn an_aborted_idle_session_ends_and_is_unmounted() {
    within(MINUTE, || {
        for engine in Engine::all() {
            for capabilities in [InitFlags::empty(), InitFlags::FUSE_ABORT_ERROR] {
                let options = ProbeOptions { capabilities, ..ProbeOptions::default() };
                let mounted = Mounted::new(options, &engine);
                let mut file = mounted.open("direct");
                mounted.at.connection().abort();
                assert_errno(read_on(&mut file), CUT_OFF);
                mounted.assert_ends();
            }
        }
    });
}

#[test]
fn an_abort_under_load_gives_everybody_an_error_at_once() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            let load = Load::on(mounted.at.path());
            mounted.watch.wait_for_calls("read", 20, SOON);
            let aborted = Instant::now();
            mounted.at.connection().abort();
            // Whoever looks after the session has unmounted finds an empty directory.
            assert_errno(load.cut_off(), &[CUT_OFF, &[libc::ENOENT]].concat());
            assert!(aborted.elapsed() < Duration::from_secs(5), "{:?}", aborted.elapsed());
            mounted.assert_ends();
        }
    });
}

#[test]
fn an_abort_does_not_wait_for_a_slow_method_but_destroy_does() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            let stuck = reading(mounted.join("stuck"));
            mounted.watch.wait_for_calls("read", 1, SOON);
            mounted.at.connection().abort();
            eventually(SOON, "the caller is freed", || stuck.is_finished());
            assert_errno(stuck.join().expect("no panic"), CUT_OFF);
            assert_eq!((mounted.watch.running(), mounted.watch.calls("destroy")), (1, 0));
            mounted.watch.let_go();
            mounted.assert_ends();
        }
    });
}

#[test]
fn a_dropped_session_is_unmounted_and_destroyed_by_then() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let Mounted { session, watch, at } = Mounted::new(ProbeOptions::default(), &engine);
            fs::read(at.join("plain")).expect("a file");
            watch.wait_until_all_is_released();
            drop(session);
            assert!(!at.is_mounted());
            watch.assert_ended_well();
        }
    });
}

#[test]
fn a_session_that_is_never_run_is_unmounted_when_it_is_dropped() {
    within(MINUTE, || {
        let at = Mountpoint::new();
        let (probe, watch) = Probe::new(ProbeOptions::default());
        let session = Session::new(probe, &at, &Config::default()).expect("a session");
        assert!(at.is_mounted());
        // Somebody waits for an answer that will never come.
        let waiting = reading(at.join("plain"));
        thread::sleep(Duration::from_millis(20));
        drop(session);
        assert!(!at.is_mounted());
        eventually(SOON, "the caller is freed", || waiting.is_finished());
        let freed = waiting.join().expect("no panic");
        assert_errno(freed, &[CUT_OFF, &[libc::ENOENT]].concat());
        watch.assert_ended_well();
    });
}

#[test]
fn open_files_get_their_grace_and_then_an_error() {
    within(MINUTE, || {
        for mut engine in Engine::all() {
            engine.config.busy_grace = Some(Duration::from_millis(400));
            for joined in [false, true] {
                let Mounted { session, watch, at } = Mounted::new(ProbeOptions::default(), &engine);
                let mut file = File::open(at.join("direct")).expect("a file");
                let begun = Instant::now();
                let ended = thread::spawn(move || {
                    if joined {
                        return session.umount_and_join();
                    }
                    drop(session);
                    Ok(())
                });
                eventually(SOON, "it is unmounted", || !at.is_mounted());
                assert!(read_on(&mut file).is_ok(), "within its grace a file is served");
                eventually(SOON, "the session ends", || ended.is_finished());
                ended.join().expect("no panic").expect("a clean end");
                let took = begun.elapsed();
                assert!(took >= Duration::from_millis(400), "{took:?} {engine:?}");
                assert!(took < Duration::from_secs(5), "{took:?} {engine:?}");
                watch.assert_ended_well();
                assert_errno(read_on(&mut file), CUT_OFF);
            }
        }
    });
}

#[test]
fn open_files_that_are_closed_in_time_end_their_grace() {
    within(MINUTE, || {
        for mut engine in Engine::all() {
            engine.config.busy_grace = Some(Duration::from_secs(30));
            let Mounted { session, watch, at } = Mounted::new(ProbeOptions::default(), &engine);
            let file = File::open(at.join("direct")).expect("a file");
            let begun = Instant::now();
            let ended = thread::spawn(move || session.umount_and_join());
            eventually(SOON, "it is unmounted", || !at.is_mounted());
            drop(file);
            eventually(SOON, "the session ends", || ended.is_finished());
            ended.join().expect("no panic").expect("a clean end");
            assert!(begun.elapsed() < Duration::from_secs(20));
            watch.assert_ended_well();
        }
    });
}

#[test]
fn a_drop_waits_for_a_running_method_only_as_long_as_its_grace() {
    within(MINUTE, || {
        for mut engine in Engine::synchronous() {
            engine.config.busy_grace = Some(Duration::from_millis(200));
            let Mounted { session, watch, at } = Mounted::new(ProbeOptions::default(), &engine);
            let stuck = reading(at.join("stuck"));
            watch.wait_for_calls("read", 1, SOON);
            let begun = Instant::now();
            drop(session);
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
            assert_eq!((watch.running(), watch.calls("destroy")), (1, 0), "it still runs");
            watch.let_go();
            watch.wait_for_destroy(SOON);
            eventually(SOON, "the caller is freed", || stuck.is_finished());
            watch.assert_ended_well();
            let _ = stuck.join().expect("no panic");
        }
    });
}

#[test]
fn an_unmount_with_requests_in_flight_lets_them_finish() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let Mounted { session, watch, at } = Mounted::new(ProbeOptions::default(), &engine);
            let slow: Vec<_> = (0..2).map(|_| reading(at.join("slow"))).collect();
            watch.wait_for_calls("open", 2, SOON);
            session.umount_and_join().expect("a clean end");
            for slow in slow {
                let read = slow.join().expect("no panic").expect("it is served to its end");
                assert!(!read.is_empty());
            }
            watch.assert_ended_well();
        }
    });
}

#[test]
fn an_unmounter_works_from_another_thread_and_more_than_once() {
    within(MINUTE, || {
        for engine in Engine::synchronous() {
            let at = Mountpoint::new();
            let (probe, watch) = Probe::new(ProbeOptions::default());
            let mut session = Session::new(probe, &at, &engine.config).expect("a session");
            let mut unmounters = [session.unmount_callable(), session.unmount_callable()];
            at.connection();
            let session = thread::spawn(move || session.run());
            fs::read(at.join("plain")).expect("a file");
            for unmounter in &mut unmounters {
                unmounter.unmount().expect("an unmount");
                unmounter.unmount().expect("another");
                assert!(!at.is_mounted());
            }
            eventually(SOON, "the session ends", || session.is_finished());
            session.join().expect("no panic").expect("a clean end");
            for unmounter in &mut unmounters {
                unmounter.unmount().expect("one more");
            }
            watch.assert_ended_well();
        }
    });
}

#[test]
fn a_session_unmounted_by_itself_and_by_others_is_still_one_end() {
    within(MINUTE, || {
        let at = Mountpoint::new();
        let (probe, watch) = Probe::new(ProbeOptions::default());
        let mut session = Session::new(probe, &at, &Config::default()).expect("a session");
        session.unmount().expect("an unmount");
        assert!(!at.is_mounted());
        umount2(at.path(), MntFlags::empty()).expect_err("there is nothing to unmount");
        session.run().expect("a clean end at once");
        watch.assert_ended_well();
    });
}

#[test]
fn what_is_mounted_at_the_same_path_afterwards_is_left_alone() {
    within(MINUTE, || {
        let Mounted { session, watch, at } = Mounted::plain();
        umount2(at.path(), MntFlags::empty()).expect("an unmount from outside");
        let (other, others_watch) = Probe::new(ProbeOptions::default());
        let other = spawn_mount(other, &at, &Config::default()).expect("another mount");
        drop(session);
        watch.assert_ended_well();
        assert_eq!(at.mounts().len(), 1);
        fs::read(at.join("plain")).expect("the other one serves");
        drop(other);
        others_watch.assert_ended_well();
    });
}

#[test]
fn a_method_may_unmount_its_own_filesystem() {
    within(MINUTE, || {
        for engine in Engine::synchronous() {
            let at = Mountpoint::new();
            let ending = Arc::new(Mutex::new(None));
            let mut session =
                Session::new(Ends(ending.clone()), &at, &engine.config).expect("a session");
            let mut unmounter = session.unmount_callable();
            *ending.lock().expect("no panic") = Some(Box::new(move || {
                unmounter.unmount().expect("an unmount");
            }));
            at.connection();
            let session = thread::spawn(move || session.run());
            assert!(fs::metadata(at.path()).expect("attributes").is_dir());
            eventually(SOON, "the session ends", || session.is_finished());
            session.join().expect("no panic").expect("a clean end");
            assert!(!at.is_mounted());
        }
    });
}

#[test]
fn a_method_may_drop_its_own_session() {
    within(MINUTE, || {
        for engine in Engine::synchronous() {
            let at = Mountpoint::new();
            let ending = Arc::new(Mutex::new(None));
            let session = spawn_mount(Ends(ending.clone()), &at, &engine.config).expect("a mount");
            at.connection();
            let begun = Instant::now();
            *ending.lock().expect("no panic") = Some(Box::new(move || drop(session)));
            assert!(fs::metadata(at.path()).expect("attributes").is_dir());
            assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
            eventually(SOON, "it is unmounted", || !at.is_mounted());
            // With the session goes the filesystem, and with it what this holds.
            eventually(SOON, "the session ends", || Arc::strong_count(&ending) == 1);
        }
    });
}

/// Does once, in `getattr`, what it is told.
struct Ends(Ending);

type Ending = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

impl Filesystem for Ends {
    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        if let Some(end) = self.0.lock().expect("no panic").take() {
            end();
        }
        reply.attr(&Duration::ZERO, &root(ino));
    }
}

#[test]
fn fifty_mounts_at_once_come_and_go_and_leave_nothing() {
    alone(MINUTE, || {
        what_is_made_once_and_kept();
        let before = Census::here();
        let ends: Vec<_> = (0..50)
            .map(|i| {
                thread::spawn(move || {
                    for _ in 0..2 {
                        let engines = Engine::all();
                        let engine = &engines[i % engines.len()];
                        let mounted = Mounted::new(ProbeOptions::default(), engine);
                        fs::read(mounted.join("plain")).expect("a file");
                        let Mounted { session, watch, at } = mounted;
                        match i % 3 {
                            0 => drop(session),
                            1 => session.umount_and_join().expect("a clean end"),
                            _ => {
                                umount2(at.path(), MntFlags::MNT_DETACH).expect("an unmount");
                                session.join().expect("a clean end");
                            }
                        }
                        assert!(!at.is_mounted());
                        watch.assert_ended_well();
                    }
                })
            })
            .collect();
        for end in ends {
            end.join().expect("no panic");
        }
        before.assert_nothing_left();
    });
}

#[test]
fn every_way_to_end_leaves_no_thread_and_no_descriptor() {
    alone(MINUTE, || {
        what_is_made_once_and_kept();
        let before = Census::here();
        for engine in Engine::all() {
            for way in 0..5 {
                let mut engine = engine.clone();
                engine.config.busy_grace = Some(Duration::from_millis(100));
                let Mounted { session, watch, at } = Mounted::new(ProbeOptions::default(), &engine);
                let mut file = File::open(at.join("plain")).expect("a file");
                match way {
                    0 => drop(session),
                    1 => session.umount_and_join().expect("a clean end"),
                    2 => {
                        at.connection().abort();
                        session.join().expect("a clean end");
                    }
                    3 => {
                        umount2(at.path(), MntFlags::MNT_DETACH).expect("an unmount");
                        assert!(read_on(&mut file).expect("it goes on") > 0);
                        drop(session);
                    }
                    _ => {
                        drop(file);
                        assert_eq!(umount2(at.path(), MntFlags::empty()), Ok::<_, Code>(()));
                        session.join().expect("a clean end");
                        watch.wait_for_destroy(SOON);
                        continue;
                    }
                }
                watch.wait_for_destroy(SOON);
                watch.assert_ended_well();
            }
        }
        before.assert_nothing_left();
    });
}

/// Tokio has descriptors for signals that it never closes.
pub(crate) fn what_is_made_once_and_kept() {
    for engine in Engine::few() {
        drop(Mounted::new(ProbeOptions::default(), &engine));
    }
}

/// The attributes of a directory.
pub(crate) fn root(ino: INodeNo) -> FileAttr {
    FileAttr {
        ino,
        size: 0,
        blocks: 0,
        atime: std::time::UNIX_EPOCH,
        mtime: std::time::UNIX_EPOCH,
        ctime: std::time::UNIX_EPOCH,
        crtime: std::time::UNIX_EPOCH,
        kind: FileType::Directory,
        perm: 0o755,
        nlink: 2,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}
