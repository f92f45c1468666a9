//! The engine against a kernel that says whatever it likes: a socket stands for `/dev/fuse`.

#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use async_fuser::*;
use tests::opcode::*;
use tests::{Init, Kernel, Probe, ProbeOptions, Reply, eventually, request};

// The beginning.

#[test]
fn every_minor_version_from_7_19_on_is_spoken() {
    for minor in 19..=60 {
        let (kernel, session) = serve(Nothing, config());
        let reply = kernel.init(minor);
        assert_eq!(reply.error, 0, "7.{minor}");
        let answered = words(&reply.body);
        assert_eq!(answered[..2], [7, minor.min(45)], "7.{minor}: the version");
        let len = if minor < 23 { 24 } else { 64 };
        assert_eq!(reply.body.len(), len, "7.{minor}: the length of the answer");
        assert!(answered[5] >= 4096, "7.{minor}: max_write is {}", answered[5]);
        assert_eq!(kernel.ask(GETATTR, 1, &[0; 16]).error, libc::ENOSYS, "7.{minor}: it serves");
        end(kernel, session);
    }
}

#[test]
fn no_capability_is_answered_that_was_not_offered() {
    for offered in [0, 1, 0x0000_ffff, 1 << 22, 0x00ff_0000] {
        for minor in [19, 22, 23, 35, 36, 45] {
            let (kernel, session) = serve(Nothing, config());
            let reply = kernel.ask(INIT, 0, &Kernel::init_body(7, minor, offered, 0));
            let flags = words(&reply.body)[3];
            assert_eq!(flags & !offered, 0, "7.{minor}, offered {offered:#x}: {flags:#x}");
            end(kernel, session);
        }
    }
}

#[test]
fn a_kernel_with_another_major_version_is_told_ours_and_begins_again() {
    for major in [8, 9, u32::MAX] {
        let (kernel, session) = serve(Nothing, config());
        for _ in 0..2 {
            let reply = kernel.ask(INIT, 0, &Kernel::init_body(major, 1, 0, 0));
            assert_eq!((reply.error, words(&reply.body)[0]), (0, 7), "major {major}");
        }
        let reply = kernel.init(45);
        assert_eq!(words(&reply.body)[..2], [7, 45]);
        assert_eq!(kernel.ask(GETATTR, 1, &[0; 16]).error, libc::ENOSYS);
        end(kernel, session);
    }
}

#[test]
fn a_kernel_that_is_too_old_is_refused_with_a_reason() {
    for (major, minor) in [(7, 0), (7, 8), (7, 18), (6, 40), (0, 0)] {
        let (probe, watch) = Probe::new(ProbeOptions::default());
        let (kernel, session) = serve(probe, config());
        let reply = kernel.ask(INIT, 0, &Kernel::init_body(major, minor, 0, 0));
        assert_eq!(reply.error, libc::EPROTO, "{major}.{minor}");
        let error = ended(session).expect_err("there is no session");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains(&format!("{major}.{minor}")), "{error}");
        assert_eq!(watch.calls("init"), 0);
    }
}

#[test]
fn an_init_cut_at_any_length_is_answered_and_never_a_panic() {
    let body = Kernel::init_body(7, 45, u32::MAX, u32::MAX);
    for len in 0..=body.len() {
        let (kernel, session) = serve(Nothing, config());
        let reply = kernel.ask(INIT, 0, &body[..len]);
        if len >= 20 {
            assert_eq!(reply.error, 0, "{len} bytes");
            end(kernel, session);
        } else {
            assert_eq!(reply.error, libc::EIO, "{len} bytes");
            assert!(ended(session).is_err(), "{len} bytes");
        }
    }
}

#[test]
fn what_comes_before_init_is_refused_and_init_still_works() {
    let (kernel, session) = serve(Nothing, config());
    assert_eq!(kernel.ask(GETATTR, 1, &[0; 16]).error, libc::EIO);
    kernel.send(FORGET, 1, &[0; 8]);
    kernel.send(BATCH_FORGET, 1, &[0; 8]);
    kernel.send(INTERRUPT, 1, &[0; 8]);
    assert_eq!(kernel.ask(4711, 1, &[]).error, libc::EIO);
    assert_eq!(kernel.init(45).error, 0);
    end(kernel, session);
}

#[test]
fn a_second_init_is_refused_and_the_session_goes_on() {
    let (probe, watch) = Probe::new(ProbeOptions::default());
    let (kernel, session) = begin(probe, config());
    assert_eq!(kernel.init(45).error, libc::EIO);
    assert_eq!(kernel.ask(GETATTR, 1, &[0; 16]).error, 0);
    end(kernel, session);
    watch.assert_ended_well();
}

#[test]
fn an_init_that_fails_is_the_kernels_and_the_callers_error() {
    let options = ProbeOptions { init: Init::Fails(libc::EDOM), ..ProbeOptions::default() };
    let (probe, watch) = Probe::new(options);
    let (kernel, session) = serve(probe, config());
    assert_eq!(kernel.init(45).error, libc::EDOM);
    let error = ended(session).expect_err("there is no session");
    assert_eq!(error.raw_os_error(), Some(libc::EDOM));
    watch.assert_ended_well();
}

#[test]
fn an_init_that_panics_is_an_error_and_not_a_panic() {
    let options = ProbeOptions { init: Init::Panics, ..ProbeOptions::default() };
    let (probe, watch) = Probe::new(options);
    let (kernel, session) = serve(probe, config());
    assert_eq!(kernel.init(45).error, libc::EIO);
    let error = ended(session).expect_err("there is no session");
    assert!(error.to_string().contains("init panicked"), "{error}");
    watch.assert_ended_well();
}

#[test]
fn a_connection_closed_before_init_is_an_error() {
    let (kernel, session) = serve(Nothing, config());
    drop(kernel);
    let error = ended(session).expect_err("there is no session");
    assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    assert!(error.to_string().contains("unmounted"), "{error}");
}

#[test]
fn n_threads_of_zero_is_an_error() {
    let mut config = config();
    config.n_threads = Some(0);
    let (kernel, session) = serve(Nothing, config);
    kernel.init(45);
    let error = ended(session).expect_err("nobody serves");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("n_threads"), "{error}");
}

// Requests that are broken.

#[test]
fn every_opcode_cut_at_every_length_is_answered_once_or_never() {
    let (kernel, session) = begin(Nothing, config());
    for opcode in opcodes().filter(|&opcode| opcode != DESTROY) {
        for body in bodies() {
            for len in 0..=body.len() {
                let unique = kernel.send(opcode, 1, &body[..len]);
                kernel.expect_one_answer(opcode, unique, &format!("cut at {len}"));
            }
        }
    }
    end(kernel, session);
}

#[test]
fn a_length_that_is_not_the_messages_is_refused() {
    let (kernel, session) = begin(Nothing, config());
    for opcode in opcodes() {
        for claimed in [0, 1, 39, 40, 41, 103, 105, 4096, u32::MAX] {
            let mut bytes = request(opcode, 1 << 40, 1, 0, &[0; 64]);
            bytes[..4].copy_from_slice(&claimed.to_ne_bytes());
            kernel.send_bytes(&bytes);
            let Some(reply) = kernel.expect_one_answer(opcode, 1 << 40, "a false length") else {
                continue;
            };
            assert_eq!(reply.error, libc::EIO, "opcode {opcode}, {claimed} for 104");
        }
    }
    end(kernel, session);
}

#[test]
fn a_message_longer_than_any_request_is_refused() {
    let (kernel, session) = begin(Nothing, config());
    let unique = kernel.send(WRITE, 1, &vec![0; 3 << 20]);
    let reply = kernel.expect_one_answer(WRITE, unique, "3 MiB").expect("an answer");
    assert_eq!(reply.error, libc::EIO);
    end(kernel, session);
}

#[test]
fn a_message_without_a_whole_header_is_ignored() {
    let (kernel, session) = begin(Nothing, config());
    let bytes = request(GETATTR, 1 << 40, 1, 0, &[]);
    for len in 1..bytes.len() {
        kernel.send_bytes(&bytes[..len]);
        assert_eq!(kernel.ask(GETATTR, 1, &[0; 16]).error, libc::ENOSYS, "after {len} bytes");
    }
    end(kernel, session);
}

#[test]
fn names_without_an_end_are_refused() {
    let (probe, watch) = Probe::new(ProbeOptions::default());
    let (kernel, session) = begin(probe, config());
    let with_names: [(u32, usize, usize); 12] = [
        (LOOKUP, 0, 1),
        (SYMLINK, 0, 2),
        (MKNOD, 16, 1),
        (MKDIR, 8, 1),
        (UNLINK, 0, 1),
        (RMDIR, 0, 1),
        (RENAME, 8, 2),
        (LINK, 8, 1),
        (GETXATTR, 8, 1),
        (REMOVEXATTR, 0, 1),
        (CREATE, 16, 1),
        (RENAME2, 16, 2),
    ];
    for (opcode, fixed, names) in with_names {
        for whole in 0..names {
            let mut body = vec![0; fixed];
            body.extend(b"name\0".repeat(whole));
            body.extend(b"endless");
            assert_eq!(kernel.ask(opcode, 1, &body).error, libc::EIO, "opcode {opcode}");
        }
    }
    // The value of a setxattr may be cut as well as its name.
    for tail in [&b"name"[..], b"name\0", b"name\0value"] {
        let body = [&words_of(&[99, 0])[..], tail].concat();
        assert_eq!(kernel.ask(SETXATTR, 1, &body).error, libc::EIO, "{tail:?}");
    }
    assert_eq!(watch.all_calls().len(), 1, "only init: {:?}", watch.all_calls());
    end(kernel, session);
}

#[test]
fn offsets_beyond_the_largest_file_never_reach_the_filesystem() {
    let (probe, watch) = Probe::new(ProbeOptions::default());
    let (kernel, session) = begin(probe, config());
    for offset in [1 << 63, u64::MAX] {
        let body = [&[0; 8][..], &u64::to_ne_bytes(offset), &[0; 24]].concat();
        assert_eq!(kernel.ask(READ, 2, &body).error, libc::EINVAL);
        assert_eq!(kernel.ask(WRITE, 2, &body).error, libc::EINVAL);
    }
    assert_eq!(watch.calls("read") + watch.calls("write"), 0);
    end(kernel, session);
}

#[test]
fn hostile_counts_are_refused_and_not_answered() {
    let (probe, watch) = Probe::new(ProbeOptions::default());
    let (kernel, session) = begin(probe, config());
    for count in [2, 1 << 20, u32::MAX] {
        let unique = kernel.send(BATCH_FORGET, 0, &[&words_of(&[count, 0])[..], &[0; 16]].concat());
        kernel.expect_one_answer(BATCH_FORGET, unique, "a false count");
        assert_eq!(kernel.ask(49, 0, &words_of(&[count])).error, libc::EIO, "REMOVEMAPPING");
    }
    assert_eq!(watch.calls("forget"), 0);
    let two = [&words_of(&[2, 0])[..], &words_of(&[7, 0, 1, 0, 8, 0, 1, 0])].concat();
    kernel.send(BATCH_FORGET, 0, &two);
    kernel.ask(GETATTR, 1, &[0; 16]);
    assert_eq!(watch.calls("forget"), 2);
    end(kernel, session);
}

#[test]
fn random_bytes_never_end_a_session() {
    let (probe, watch) =
        Probe::new(ProbeOptions { slow: Duration::ZERO, ..ProbeOptions::default() });
    let (kernel, session) = begin(probe, config());
    // What waits for somebody else would only be slow here.
    watch.let_go();
    let mut random = Random(0x5eed);
    for round in 0..10_000 {
        let len = random.below(200) as usize;
        let mut body = random.bytes(len);
        // Often almost right: small numbers, and names that end.
        if round % 2 == 0 {
            body.iter_mut().filter(|byte| **byte > 99).for_each(|byte| *byte = 0);
        }
        let opcode = match random.below(80) as u32 {
            DESTROY => continue,
            // Its answer comes from another thread, in no order with the others.
            READ if random.below(2) == 0 => continue,
            opcode => opcode,
        };
        let node = if opcode == READ { 2 } else { random.below(20) };
        let unique = kernel.send_as(random.below(3) as u32, opcode, node, &body);
        kernel.expect_one_answer(opcode, unique, &format!("round {round}, {body:?}"));
    }
    end(kernel, session);
    assert_eq!((watch.calls("destroy"), watch.running_at_destroy()), (1, 0));
}

#[test]
fn nothing_is_ever_answered_where_the_kernel_wants_no_answer() {
    let (probe, _watch) = Probe::new(ProbeOptions::default());
    let (kernel, session) = begin(probe, config());
    for opcode in [FORGET, BATCH_FORGET, INTERRUPT, NOTIFY_REPLY] {
        for len in 0..100 {
            kernel.send(opcode, 1, &vec![0; len]);
            kernel.send(opcode, 1, &vec![0xff; len]);
            kernel.send_as(1234, opcode, 1, &vec![0; len]);
        }
    }
    assert_eq!(kernel.ask(GETATTR, 1, &[0; 16]).error, 0, "the first message there is");
    end(kernel, session);
}

#[test]
fn an_unknown_opcode_is_enosys() {
    let (kernel, session) = begin(Nothing, config());
    for opcode in [0, 7, 19, 54, 70, 4096, u32::MAX] {
        assert_eq!(kernel.ask(opcode, 1, &[0; 64]).error, libc::ENOSYS, "opcode {opcode}");
    }
    end(kernel, session);
}

// Answers.

#[test]
fn a_method_left_out_answers_as_in_fuser() {
    let (ours, session) = begin(Nothing, config());
    let (fusers, their_session) = Kernel::connect();
    let their_session = thread::spawn(move || {
        let acl = fuser::SessionACL::All;
        fuser::Session::from_fd(NothingInFuser, their_session, acl, fuser::Config::default())?.run()
    });
    assert_eq!(fusers.init(45).error, 0);

    for &opcode in ANSWERED {
        let body = valid(opcode);
        let (got, expected) = (ours.ask(opcode, 1, &body), fusers.ask(opcode, 1, &body));
        assert_eq!((got.error, &got.body), (expected.error, &expected.body), "opcode {opcode}");
        let known = match opcode {
            SYMLINK | LINK => libc::EPERM,
            OPEN | OPENDIR | RELEASE | RELEASEDIR | STATFS => 0,
            _ => libc::ENOSYS,
        };
        assert_eq!(got.error, known, "opcode {opcode}");
    }
    for opcode in [FORGET, BATCH_FORGET] {
        ours.send(opcode, 1, &[0; 16]);
    }
    let statfs = words(&ours.ask(STATFS, 1, &[]).body);
    assert_eq!(statfs[10..13], [512, 255, 0], "block size, length of names, fragment size");
    end(ours, session);
    // fuser does not end when its device is closed like this.
    fusers.send(DESTROY, 0, &[]);
    eventually(LIMIT, "fuser's session ends", || their_session.is_finished());
}

#[test]
fn an_answer_that_is_dropped_is_eio() {
    let (kernel, session) = begin(Misbehaves(Fault::Drops), config());
    for &opcode in ANSWERED {
        assert_eq!(kernel.ask(opcode, 1, &valid(opcode)).error, libc::EIO, "opcode {opcode}");
    }
    end(kernel, session);
}

#[test]
fn an_answer_dropped_by_another_thread_is_eio() {
    let (kernel, session) = begin(Misbehaves(Fault::DropsLater), config());
    for &opcode in ANSWERED {
        assert_eq!(kernel.ask(opcode, 1, &valid(opcode)).error, libc::EIO, "opcode {opcode}");
    }
    end(kernel, session);
}

#[test]
fn a_method_that_panics_is_eio_and_the_next_request_is_served() {
    for n_threads in [1, 4] {
        let mut config = config();
        config.n_threads = Some(n_threads);
        let (kernel, session) = begin(Misbehaves(Fault::Panics), config);
        for &opcode in ANSWERED {
            assert_eq!(kernel.ask(opcode, 1, &valid(opcode)).error, libc::EIO, "opcode {opcode}");
        }
        for _ in 0..20 {
            kernel.send(FORGET, 1, &[0; 8]);
            kernel.send(BATCH_FORGET, 1, &[0; 8]);
        }
        assert_eq!(kernel.ask(GETATTR, 1, &[0; 16]).error, libc::EIO);
        end(kernel, session);
    }
}

#[test]
fn an_answer_may_come_later_from_another_thread() {
    let (replies, later) = mpsc::channel();
    let (kernel, session) = begin(Keeps(Mutex::new(replies)), config());
    let uniques: Vec<_> = (0..20).map(|_| kernel.send(GETATTR, 1, &[0; 16])).collect();
    let mut kept: Vec<ReplyAttr> =
        (0..20).map(|_| later.recv_timeout(LIMIT).expect("a reply")).collect();
    assert_eq!(kernel.receive_within(20), None, "nothing is answered yet");
    kept.reverse();
    thread::spawn(move || kept.into_iter().for_each(|reply| reply.error(Errno::EDOM)));
    for unique in uniques.into_iter().rev() {
        let reply = kernel.receive();
        assert_eq!((reply.unique, reply.error), (unique, libc::EDOM));
    }
    end(kernel, session);
}

#[test]
fn an_answer_after_the_end_goes_nowhere() {
    let (replies, later) = mpsc::channel();
    let (kernel, session) = begin(Keeps(Mutex::new(replies)), config());
    kernel.send(GETATTR, 1, &[0; 16]);
    kernel.send(GETATTR, 1, &[0; 16]);
    let (used, dropped) = (later.recv_timeout(LIMIT), later.recv_timeout(LIMIT));
    end(kernel, session);
    used.expect("a reply").error(Errno::EDOM);
    drop(dropped.expect("a reply"));
}

#[test]
fn data_beyond_the_room_there_is_is_eio() {
    let (kernel, session) = begin(Answers, config());
    let read = |size: u32| [&[0; 16][..], &size.to_ne_bytes(), &[0; 20]].concat();
    for (size, error) in [(0, libc::EIO), (99, libc::EIO), (100, 0), (101, 0), (1 << 20, 0)] {
        let reply = kernel.ask(READ, 1, &read(size));
        assert_eq!(reply.error, error, "a read of {size}");
        assert_eq!(reply.body.len(), if error == 0 { 100 } else { 0 });
    }
    for (size, error) in [(99, libc::EIO), (100, 0), (4096, 0)] {
        let body = words_of(&[0, 0, 0, 0x4711, 0, 0, 0, size]);
        let reply = kernel.ask(IOCTL, 1, &body);
        assert_eq!(reply.error, error, "an ioctl with room for {size}");
        assert_eq!(reply.body.len(), if error == 0 { 116 } else { 0 });
    }
    for size in [0, 23, 24, 31, 32, 40, 64, 65, 4096] {
        let reply = kernel.ask(READDIR, 1, &read(size));
        assert_eq!(reply.error, 0);
        let entries = (size as usize / 32).min(100);
        assert_eq!(reply.body.len(), entries * 32, "a readdir of {size}");
    }
    end(kernel, session);
}

#[test]
fn extended_attributes_follow_the_room_there_is() {
    let (kernel, session) = begin(Answers, config());
    for opcode in [GETXATTR, LISTXATTR] {
        let ask =
            |size: u32| kernel.ask(opcode, 1, &[&words_of(&[size, 0])[..], b"user.x\0"].concat());
        let size = ask(0);
        assert_eq!((size.error, words(&size.body)), (0, vec![100, 0]), "how large it is");
        assert_eq!(ask(1).error, libc::ERANGE);
        assert_eq!(ask(99).error, libc::ERANGE);
        assert_eq!((ask(100).error, ask(100).body), (0, vec![b'x'; 100]));
        assert_eq!(ask(65536).body.len(), 100);
    }
    end(kernel, session);
}

#[test]
fn an_errno_no_kernel_takes_becomes_eio() {
    let (replies, later) = mpsc::channel();
    let (kernel, session) = begin(Keeps(Mutex::new(replies)), config());
    for (errno, expected) in [(512, libc::EIO), (-5, libc::EIO), (0, libc::EIO), (511, 511), (1, 1)]
    {
        let unique = kernel.send(GETATTR, 1, &[0; 16]);
        later.recv_timeout(LIMIT).expect("a reply").error(Errno::from_i32(errno));
        let reply = kernel.receive();
        assert_eq!((reply.unique, reply.error), (unique, expected), "errno {errno}");
    }
    end(kernel, session);
}

#[test]
fn an_ioctl_whose_arguments_are_pointers_is_not_called() {
    let (kernel, session) = begin(Answers, config());
    let ioctl = |flags: u32| words_of(&[0, 0, flags, 0x4711, 0, 0, 0, 100]);
    const UNRESTRICTED: u32 = 1 << 1;
    assert_eq!(kernel.ask(IOCTL, 1, &ioctl(0)).error, 0);
    assert_eq!(kernel.ask(IOCTL, 1, &ioctl(UNRESTRICTED)).error, libc::ENOSYS);
    assert_eq!(kernel.ask(IOCTL, 1, &ioctl(UNRESTRICTED | 1 << 3)).error, libc::ENOSYS);
    end(kernel, session);
}

// Access.

#[test]
fn only_what_is_on_an_open_file_passes_for_those_without_access() {
    const STRANGER: u32 = 1234;
    let on_an_open_file =
        [READ, WRITE, FLUSH, FSYNC, RELEASE, READDIR, READDIRPLUS, FSYNCDIR, RELEASEDIR];
    // This process is root, and so is the owner.
    for (acl, uids) in [
        (SessionACL::Owner, &[(0, true), (STRANGER, false)][..]),
        (SessionACL::RootAndOwner, &[(0, true), (STRANGER, false)]),
        (SessionACL::All, &[(0, true), (STRANGER, true)]),
    ] {
        let mut config = config();
        config.acl = acl;
        let (kernel, session) = begin(Nothing, config);
        for &(uid, allowed) in uids {
            for &opcode in ANSWERED {
                let refused = kernel.ask_as(uid, opcode, 1, &valid(opcode)).error == libc::EACCES;
                let expected = !allowed && !on_an_open_file.contains(&opcode);
                assert_eq!(refused, expected, "{acl:?}, user {uid}, opcode {opcode}");
            }
        }
        end(kernel, session);
    }
}

#[test]
fn a_forget_counts_whoever_it_comes_from() {
    let (probe, watch) = Probe::new(ProbeOptions::default());
    let (kernel, session) = begin(probe, config());
    kernel.send_as(1234, FORGET, 7, &[1, 0, 0, 0, 0, 0, 0, 0]);
    kernel.ask(GETATTR, 1, &[0; 16]);
    assert_eq!(watch.callers("forget"), [1234]);
    end(kernel, session);
}

// Interrupts and notifications.

#[test]
fn an_interrupt_leaves_its_request_and_every_other_alone() {
    let (replies, later) = mpsc::channel();
    let (kernel, session) = begin(Keeps(Mutex::new(replies)), config());
    // Of one that never was, and of one that is long over.
    for unique in [0, 1, u64::MAX, 1 << 63] {
        kernel.send_bytes(&request(INTERRUPT, unique | 1, 1, 0, &unique.to_ne_bytes()));
    }
    let unique = kernel.send(GETATTR, 1, &[0; 16]);
    let reply = later.recv_timeout(LIMIT).expect("a reply");
    kernel.send_bytes(&request(INTERRUPT, unique | 1, 1, 0, &unique.to_ne_bytes()));
    assert_eq!(kernel.ask(STATFS, 1, &[]).error, 0);
    reply.error(Errno::EDOM);
    assert_eq!(kernel.receive(), Reply { unique, error: libc::EDOM, body: Vec::new() });
    end(kernel, session);
}

#[test]
fn a_filesystem_is_told_of_interrupts_and_may_panic_at_them() {
    struct Told(Mutex<Sender<u64>>);
    impl Filesystem for Told {
        fn interrupt(&self, _: &Request, unique: RequestId) {
            self.0.lock().expect("no panic").send(unique.0).expect("the test listens");
            assert_ne!(unique.0, 7, "as it was told to");
        }
    }

    let (told, heard) = mpsc::channel();
    let (kernel, session) = begin(Told(Mutex::new(told)), config());
    for unique in [42, 1 << 63, 44] {
        kernel.send_bytes(&request(INTERRUPT, unique | 1, 1, 0, &u64::to_ne_bytes(unique)));
        assert_eq!(heard.recv_timeout(LIMIT), Ok(unique));
    }
    // One that is cut off is not told, and none is answered.
    kernel.send(INTERRUPT, 1, &[0; 7]);
    assert_eq!(kernel.ask(STATFS, 1, &[]).error, 0);
    assert!(heard.try_recv().is_err());
    end(kernel, session);
}

#[test]
fn the_longer_setxattr_is_read_where_it_was_agreed_on() {
    for (capabilities, fixed) in [(InitFlags::empty(), 8), (InitFlags::FUSE_SETXATTR_EXT, 16)] {
        let (probe, _) = Probe::new(ProbeOptions { capabilities, ..ProbeOptions::default() });
        let (kernel, session) = begin(probe, config());
        let mut body = vec![0; fixed];
        body[0] = 5;
        body.extend(b"user.x\0value");
        assert_eq!(kernel.ask(SETXATTR, 2, &body).error, 0, "{capabilities:?}");
        let got = kernel.ask(GETXATTR, 2, &[&words_of(&[99, 0])[..], b"user.x\0"].concat());
        assert_eq!(got.body, b"value", "{capabilities:?}");
        end(kernel, session);
    }
}

#[test]
fn a_retrieval_gets_its_own_data() {
    let (kernel, ours) = Kernel::connect();
    let session = thread::spawn(move || Session::from_fd(Nothing, ours, SessionACL::All, config()));
    kernel.init(45);
    let session = session.join().expect("no panic").expect("a session");
    let notifier = session.notifier();
    let session = thread::spawn(move || session.run());

    let waiting: Vec<_> = (0..3)
        .map(|i| {
            let notifier = notifier.clone();
            let waiting = thread::spawn(move || notifier.retrieve(INodeNo(7), i * 100, 50));
            // The next message is this one's.
            let asked = kernel.receive();
            assert_eq!((asked.unique, asked.error), (0, RETRIEVE));
            (waiting, asked.body)
        })
        .collect();
    // One that nobody waits for, and one that is broken.
    kernel.send_bytes(&request(NOTIFY_REPLY, 4711, 7, 0, &[0; 40]));
    let number = |body: &[u8]| u64::from_ne_bytes(body[..8].try_into().expect("eight bytes"));
    let broken = words_of(&[0, 0, 0, 0, 50, 0, 0, 0, 0, 0]);
    kernel.send_bytes(&request(NOTIFY_REPLY, number(&waiting[0].1), 7, 0, &broken));
    for (waiting, body) in waiting.into_iter().rev() {
        let offset = &body[16..24];
        let data = vec![offset[0]; 50];
        let body_of_reply = [&[0; 8][..], offset, &50u32.to_ne_bytes(), &[0; 20], &data].concat();
        kernel.send_bytes(&request(NOTIFY_REPLY, number(&body), 7, 0, &body_of_reply));
        assert_eq!(waiting.join().expect("no panic").expect("data"), data);
    }
    let forgotten = thread::spawn({
        let notifier = notifier.clone();
        move || notifier.retrieve(INodeNo(7), 0, 50)
    });
    kernel.receive();
    end(kernel, session);
    let error = forgotten.join().expect("no panic").expect_err("the session has ended");
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    let error = notifier.inval_inode(INodeNo(7), 0, 0).expect_err("the session has ended");
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
}

// The end.

#[test]
fn a_closed_connection_is_a_clean_end_after_the_last_method() {
    for n_threads in [1, 4] {
        let (probe, watch) = Probe::new(ProbeOptions::default());
        let mut config = config();
        config.n_threads = Some(n_threads);
        let (kernel, session) = begin(probe, config);
        let slow = kernel.ask(LOOKUP, 1, b"slow\0");
        let ino = u64::from_ne_bytes(slow.body[..8].try_into().expect("eight bytes"));
        kernel.send(READ, ino, &[0; 40]);
        watch.wait_for_calls("read", 1, LIMIT);
        end(kernel, session);
        assert_eq!(watch.running(), 0);
        watch.assert_ended_well();
    }
}

#[test]
fn destroy_ends_the_session_and_is_answered() {
    let (probe, watch) = Probe::new(ProbeOptions::default());
    let (kernel, session) = begin(probe, config());
    assert_eq!(kernel.ask(DESTROY, 0, &[]), Reply { unique: 4, error: 0, body: Vec::new() });
    ended(session).expect("a clean end");
    watch.assert_ended_well();
}

#[test]
fn destroy_ends_every_thread_of_a_session() {
    let (probe, watch) = Probe::new(ProbeOptions::default());
    let mut config = config();
    config.n_threads = Some(4);
    let (kernel, session) = begin(probe, config);
    kernel.send(DESTROY, 0, &[]);
    let reply = kernel.receive();
    assert_eq!((reply.unique, reply.error), (4, 0));
    // The kernel ends the connection when it has the answer.
    drop(kernel);
    ended(session).expect("a clean end");
    watch.assert_ended_well();
}

#[test]
fn a_background_session_that_is_dropped_ends_within_its_grace() {
    let (probe, watch) = Probe::new(ProbeOptions::default());
    let (kernel, ours) = Kernel::connect();
    let session = thread::spawn(move || {
        let mut config = config();
        config.busy_grace = Some(Duration::from_millis(200));
        Session::from_fd(probe, ours, SessionACL::All, config)?.spawn()
    });
    kernel.init(45);
    let session = session.join().expect("no panic").expect("a session");
    let begun = Instant::now();
    let dropped = thread::spawn(move || drop(session));
    eventually(LIMIT, "the drop returns", || dropped.is_finished());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    watch.assert_ended_well();
}

#[test]
fn four_threads_serve_four_requests_at_once() {
    let at_once = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let mut config = config();
    config.n_threads = Some(4);
    let (kernel, session) = begin(Meets(at_once.clone()), config);
    let mut uniques: Vec<_> = (0..4).map(|_| kernel.send(GETATTR, 1, &[0; 16])).collect();
    // Each waits for the three others, so this would fail with fewer threads.
    let mut answered: Vec<_> = (0..4)
        .map(|_| {
            let reply = kernel.receive();
            assert_eq!(reply.error, libc::EDOM, "all four met");
            reply.unique
        })
        .collect();
    uniques.sort_unstable();
    answered.sort_unstable();
    assert_eq!(answered, uniques);
    for _ in 0..200 {
        kernel.send(STATFS, 1, &[]);
    }
    for _ in 0..200 {
        assert_eq!(kernel.receive().error, 0);
    }
    end(kernel, session);
}

// What the tests are made of.

/// All defaults.
struct Nothing;
impl Filesystem for Nothing {}

struct NothingInFuser;
impl fuser::Filesystem for NothingInFuser {}

/// Hands its replies to a test.
struct Keeps(Mutex<Sender<ReplyAttr>>);

impl Filesystem for Keeps {
    fn getattr(&self, _: &Request, _: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.0.lock().expect("no panic").send(reply).expect("the test listens");
    }
}

/// Answers `EDOM` if four callers are there at once.
struct Meets(Arc<(AtomicUsize, AtomicUsize)>);

impl Filesystem for Meets {
    fn getattr(&self, _: &Request, _: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
        let begun = Instant::now();
        while self.0.0.load(Ordering::SeqCst) < 4 && begun.elapsed() < LIMIT {
            thread::sleep(Duration::from_millis(1));
        }
        reply.error(if self.0.0.load(Ordering::SeqCst) == 4 { Errno::EDOM } else { Errno::EIO });
    }
}

/// Answers with 100 bytes, or 100 entries, whatever the room.
struct Answers;

impl Filesystem for Answers {
    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        reply.data(&[b'x'; 100]);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: u64, mut reply: ReplyDirectory) {
        for i in 0..100 {
            if reply.add(ino, i + 1, FileType::RegularFile, format!("{i:08}")) {
                break;
            }
        }
        reply.ok();
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.data(&[b'x'; 100]);
    }

    fn listxattr(&self, _: &Request, _: INodeNo, _: u32, reply: ReplyXattr) {
        reply.data(&[b'x'; 100]);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.ioctl(7, &[b'x'; 100]);
    }
}

/// Does the same wrong thing in every method.
struct Misbehaves(Fault);

enum Fault {
    Drops,
    DropsLater,
    Panics,
}

impl Misbehaves {
    fn misbehave<R: Send + 'static>(&self, reply: R) {
        match self.0 {
            Fault::Drops => drop(reply),
            Fault::DropsLater => drop(thread::spawn(move || drop(reply))),
            Fault::Panics => panic!("as it was told to"),
        }
    }
}

macro_rules! misbehaves {
    ($($method:ident($($argument:ty),*) $reply:ty;)*) => {
        impl Filesystem for Misbehaves {
            fn forget(&self, _: &Request, _: INodeNo, _: u64) {
                self.misbehave(());
            }

            $(fn $method(&self, _: &Request, $(_: $argument,)* reply: $reply) {
                self.misbehave(reply);
            })*
        }
    };
}

misbehaves! {
    lookup(INodeNo, &OsStr) ReplyEntry;
    getattr(INodeNo, Option<FileHandle>) ReplyAttr;
    setattr(INodeNo, Option<u32>, Option<u32>, Option<u32>, Option<u64>, Option<TimeOrNow>,
        Option<TimeOrNow>, Option<SystemTime>, Option<FileHandle>, Option<SystemTime>,
        Option<SystemTime>, Option<SystemTime>, Option<BsdFileFlags>) ReplyAttr;
    statx(INodeNo, Option<FileHandle>, u32, StatxMask) ReplyStatx;
    readlink(INodeNo) ReplyData;
    mknod(INodeNo, &OsStr, u32, u32, u32) ReplyEntry;
    mkdir(INodeNo, &OsStr, u32, u32) ReplyEntry;
    unlink(INodeNo, &OsStr) ReplyEmpty;
    rmdir(INodeNo, &OsStr) ReplyEmpty;
    symlink(INodeNo, &OsStr, &Path) ReplyEntry;
    rename(INodeNo, &OsStr, INodeNo, &OsStr, RenameFlags) ReplyEmpty;
    link(INodeNo, INodeNo, &OsStr) ReplyEntry;
    open(INodeNo, OpenFlags) ReplyOpen;
    read(INodeNo, FileHandle, u64, u32, OpenFlags, Option<LockOwner>) ReplyData;
    write(INodeNo, FileHandle, u64, &[u8], WriteFlags, OpenFlags, Option<LockOwner>) ReplyWrite;
    flush(INodeNo, FileHandle, LockOwner) ReplyEmpty;
    release(INodeNo, FileHandle, OpenFlags, Option<LockOwner>, bool) ReplyEmpty;
    fsync(INodeNo, FileHandle, bool) ReplyEmpty;
    opendir(INodeNo, OpenFlags) ReplyOpen;
    readdir(INodeNo, FileHandle, u64) ReplyDirectory;
    readdirplus(INodeNo, FileHandle, u64) ReplyDirectoryPlus;
    releasedir(INodeNo, FileHandle, OpenFlags) ReplyEmpty;
    fsyncdir(INodeNo, FileHandle, bool) ReplyEmpty;
    statfs(INodeNo) ReplyStatfs;
    setxattr(INodeNo, &OsStr, &[u8], i32, u32) ReplyEmpty;
    getxattr(INodeNo, &OsStr, u32) ReplyXattr;
    listxattr(INodeNo, u32) ReplyXattr;
    removexattr(INodeNo, &OsStr) ReplyEmpty;
    access(INodeNo, AccessFlags) ReplyEmpty;
    create(INodeNo, &OsStr, u32, u32, i32) ReplyCreate;
    tmpfile(INodeNo, u32, u32, i32) ReplyCreate;
    getlk(INodeNo, FileHandle, LockOwner, u64, u64, i32, u32) ReplyLock;
    setlk(INodeNo, FileHandle, LockOwner, u64, u64, i32, u32, bool) ReplyEmpty;
    bmap(INodeNo, u32, u64) ReplyBmap;
    ioctl(INodeNo, FileHandle, IoctlFlags, u32, &[u8], u32) ReplyIoctl;
    poll(INodeNo, FileHandle, PollNotifier, PollEvents, PollFlags) ReplyPoll;
    fallocate(INodeNo, FileHandle, u64, u64, i32) ReplyEmpty;
    lseek(INodeNo, FileHandle, i64, i32) ReplyLseek;
    copy_file_range(INodeNo, FileHandle, u64, INodeNo, FileHandle, u64, u64, CopyFileRangeFlags)
        ReplyWrite;
    syncfs(INodeNo) ReplyEmpty;
}

fn config() -> Config {
    let mut config = Config::default();
    config.acl = SessionACL::All;
    config
}

type Serving = JoinHandle<io::Result<()>>;

/// A session that waits for its INIT.
fn serve<F: Filesystem>(filesystem: F, config: Config) -> (Kernel, Serving) {
    let (kernel, ours): (Kernel, OwnedFd) = Kernel::connect();
    let acl = config.acl;
    let session = thread::spawn(move || Session::from_fd(filesystem, ours, acl, config)?.run());
    (kernel, session)
}

/// A session that has had its INIT.
#[track_caller]
fn begin<F: Filesystem>(filesystem: F, config: Config) -> (Kernel, Serving) {
    let (kernel, session) = serve(filesystem, config);
    assert_eq!(kernel.init(45).error, 0);
    (kernel, session)
}

/// Ends the connection, and panics unless the session ends well.
#[track_caller]
fn end(kernel: Kernel, session: Serving) {
    drop(kernel);
    ended(session).expect("a clean end");
}

#[track_caller]
fn ended(session: Serving) -> io::Result<()> {
    eventually(LIMIT, "the session ends", || session.is_finished());
    session.join().expect("a session never panics")
}

const LIMIT: Duration = Duration::from_secs(10);
