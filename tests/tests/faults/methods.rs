//! Methods that panic, forget to answer, or are too late; and callers who do not wait.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::{Init, Mountpoint, ProbeOptions, eventually, helper, run, within};

use crate::*;

#[test]
fn a_panic_is_one_callers_error_and_nobody_elses() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            let load = Load::on(mounted.at.path());
            for _ in 0..20 {
                assert_errno(fs::read(mounted.join("panics")), &[libc::EIO]);
                assert_errno(fs::read(mounted.join("panics-later")), &[libc::EIO]);
            }
            assert!(load.end().expect("the others go on") > 0);
            mounted.watch.wait_until_all_is_released();
            drop(mounted.session);
            mounted.watch.assert_ended_well();
        }
    });
}

#[test]
fn an_answer_that_is_dropped_is_an_error_at_once() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            let begun = Instant::now();
            for _ in 0..20 {
                assert_errno(fs::read(mounted.join("dropped")), &[libc::EIO]);
            }
            assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
            fs::read(mounted.join("plain")).expect("it goes on");
            drop(mounted.session);
            mounted.watch.assert_ended_well();
        }
    });
}

#[test]
fn an_answer_from_another_thread_arrives() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            let readers: Vec<_> = (0..8).map(|_| reading(mounted.join("later"))).collect();
            let expected = fs::read(mounted.join("plain")).expect("a file");
            for reader in readers {
                assert_eq!(reader.join().expect("no panic").expect("a file"), expected);
            }
            mounted.session.umount_and_join().expect("a clean end");
        }
    });
}

#[test]
fn an_init_that_panics_or_fails_leaves_nothing_mounted() {
    within(MINUTE, || {
        for engine in Engine::all() {
            for (init, errno) in [(Init::Panics, None), (Init::Fails(libc::EDOM), Some(libc::EDOM))]
            {
                let at = Mountpoint::new();
                let options = ProbeOptions { init, ..ProbeOptions::default() };
                let (session, watch) = engine.spawn(options, &at);
                let error = session.expect_err("there is no session");
                assert_eq!(error.raw_os_error(), errno, "{error}");
                assert!(!at.is_mounted(), "{:?}", at.mounts());
                watch.assert_ended_well();
                // The same place serves again.
                let session = engine.spawn(ProbeOptions::default(), &at).0.expect("a mount");
                fs::read(at.join("plain")).expect("a file");
                drop(session);
            }
        }
    });
}

#[test]
fn a_process_whose_init_panics_ends_with_an_error() {
    for init in ["panics", "fails"] {
        let at = Mountpoint::new();
        let mut daemon = run(helper("probe_daemon")).arg(at.path()).args(["--init", init]).start();
        assert_eq!(daemon.wait(SOON).code(), 1);
        assert!(!at.is_mounted(), "{:?}", at.mounts());
    }
}

#[test]
fn openers_that_are_killed_leave_no_open_handle() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let slow = Duration::from_millis(15);
            let mounted = Mounted::new(ProbeOptions { slow, ..ProbeOptions::default() }, &engine);
            for i in 0..40 {
                let mut opener = run("cat").arg(mounted.join("slow-open")).start();
                // Before, while and after the file is opened.
                thread::sleep(Duration::from_millis(i % 20));
                opener.kill();
            }
            mounted.watch.wait_until_all_is_released();
            drop(mounted.session);
            mounted.watch.assert_ended_well();
        }
    });
}

#[test]
fn a_killed_opener_waits_for_its_answer_and_its_handle_is_released() {
    within(MINUTE, || {
        for engine in Engine::synchronous() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            let mut opener = run("cat").arg(mounted.join("held")).start();
            mounted.watch.wait_for_calls("open", 1, SOON);
            opener.signal(Signal::SIGKILL);
            thread::sleep(Duration::from_millis(20));
            assert_eq!(mounted.watch.open_handles(), 0);
            mounted.watch.let_go();
            assert!(!opener.wait(SOON).succeeded());
            eventually(SOON, "the handle is released", || {
                mounted.watch.calls("release") == 1 && mounted.watch.open_handles() == 0
            });
            mounted.session.umount_and_join().expect("a clean end");
            mounted.watch.assert_ended_well();
        }
    });
}

#[test]
fn what_is_opened_for_nobody_after_an_abort_is_released() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            let path = mounted.join("held");
            let opener = thread::spawn(move || fs::File::open(path).map(drop));
            mounted.watch.wait_for_calls("open", 1, SOON);
            mounted.at.connection().abort();
            eventually(SOON, "the caller is freed", || opener.is_finished());
            assert_errno(opener.join().expect("no panic"), CUT_OFF);
            assert_eq!(mounted.watch.calls("release"), 0, "nothing is open yet");
            let watch = mounted.watch.clone();
            watch.let_go();
            mounted.assert_ends();
            assert_eq!((watch.calls("release"), watch.open_handles()), (1, 0));
        }
    });
}

#[test]
fn a_caller_that_is_killed_while_its_request_waits_goes_at_once() {
    within(MINUTE, || {
        // One thread, which is kept busy: the second request is never even read.
        let mounted = Mounted::plain();
        let busy = reading(mounted.join("stuck"));
        mounted.watch.wait_for_calls("read", 1, SOON);
        let mut waiting = run("cat").arg(mounted.join("plain")).start();
        thread::sleep(Duration::from_millis(50));
        waiting.signal(Signal::SIGKILL);
        assert!(!waiting.wait(SOON).succeeded());
        mounted.watch.let_go();
        busy.join().expect("no panic").expect("it is served");
        mounted.session.umount_and_join().expect("a clean end");
        mounted.watch.assert_ended_well();
    });
}
