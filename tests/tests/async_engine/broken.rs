//! Requests that are broken.

use async_fuser::SessionACL;
use async_fuser::lib_async::AsyncSessionBuilder;
use tests::opcode::*;
use tests::request;

use crate::stage::*;

#[test]
fn every_opcode_cut_at_every_length_is_answered_once_or_never() {
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Nothing));
        for opcode in opcodes().filter(|&opcode| opcode != DESTROY) {
            for body in bodies() {
                for len in 0..=body.len() {
                    let unique = kernel.send(opcode, 1, &body[..len]);
                    let what = format!("cut at {len}");
                    let reply = kernel.expect_one_answer(opcode, unique, &what);
                    let is_whole = !ANSWERED.contains(&opcode) || len >= valid(opcode).len();
                    if let (false, Some(reply)) = (is_whole, reply) {
                        // Some have names that are shorter than ours.
                        let known = [libc::EIO, libc::EINVAL, libc::ENOSYS, libc::EPERM];
                        assert!(known.contains(&reply.error), "opcode {opcode}, {what}: {reply:?}");
                    }
                }
            }
        }
        end(stage, kernel, session);
    });
}

#[test]
fn what_has_no_room_for_its_struct_is_eio() {
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Nothing));
        for &opcode in ANSWERED {
            let whole = valid(opcode);
            // The last byte is of the struct or ends a name. Of an old SETXATTR and of an IOCTL
            // without data it is both.
            if whole.is_empty() {
                continue;
            }
            let reply = kernel.ask(opcode, 1, &whole[..whole.len() - 1]);
            assert_eq!(reply.error, libc::EIO, "opcode {opcode}");
        }
        end(stage, kernel, session);
    });
}

#[test]
fn a_length_that_is_not_the_messages_is_refused() {
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Nothing));
        for opcode in opcodes() {
            for claimed in [0, 1, 39, 40, 41, 103, 105, 4096, u32::MAX] {
                let mut bytes = request(opcode, 1 << 40, 1, 0, &[0; 64]);
                bytes[..4].copy_from_slice(&claimed.to_ne_bytes());
                kernel.send_bytes(&bytes);
                let what = "a false length";
                if let Some(reply) = kernel.expect_one_answer(opcode, 1 << 40, what) {
                    assert_eq!(reply.error, libc::EIO, "opcode {opcode}, {claimed} for 104");
                }
            }
        }
        end(stage, kernel, session);
    });
}

#[test]
fn a_message_longer_than_any_request_is_refused() {
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Nothing));
        // Twice: the buffer it was read into is used again.
        for _ in 0..2 {
            let unique = kernel.send(WRITE, 1, &vec![0; 3 << 20]);
            let reply = kernel.expect_one_answer(WRITE, unique, "3 MiB").expect("an answer");
            assert_eq!(reply.error, libc::EIO);
        }
        end(stage, kernel, session);
    });
}

#[test]
fn a_message_without_a_whole_header_is_ignored() {
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Nothing));
        let bytes = request(GETATTR, 1 << 40, 1, 0, &[]);
        for len in 1..bytes.len() {
            kernel.send_bytes(&bytes[..len]);
            assert_eq!(kernel.ask(STATFS, 1, &[]).error, 0, "after {len} bytes");
        }
        end(stage, kernel, session);
    });
}

#[test]
fn an_unknown_opcode_is_enosys() {
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Nothing));
        for opcode in [0, 7, 19, 54, 70, 4096, u32::MAX] {
            assert_eq!(kernel.ask(opcode, 1, &[0; 64]).error, libc::ENOSYS, "opcode {opcode}");
        }
        end(stage, kernel, session);
    });
}

#[test]
fn nothing_is_ever_answered_where_the_kernel_wants_no_answer() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        // Broken, of a stranger, and with a method that waits.
        for opcode in [FORGET, BATCH_FORGET, INTERRUPT, NOTIFY_REPLY] {
            for len in 0..100 {
                kernel.send(opcode, READY, &vec![0; len]);
                kernel.send(opcode, READY, &vec![0xff; len]);
                kernel.send_as(1234, opcode, READY, &vec![0; len]);
            }
        }
        kernel.send(FORGET, LATER, &[0; 8]);
        watch.wait_for_entered(1);
        watch.let_pass(1);
        expect_silence(&kernel);
        end(stage, kernel, session);
    });
}

#[test]
fn random_bytes_never_end_a_session() {
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Nothing));
        let mut random = Random(0x5eed);
        for round in 0..5000 {
            let len = random.below(200) as usize;
            let mut body = random.bytes(len);
            // Often almost right: small numbers, and names that end.
            if round % 2 == 0 {
                body.iter_mut().filter(|byte| **byte > 99).for_each(|byte| *byte = 0);
            }
            let opcode = match random.below(80) as u32 {
                DESTROY => continue,
                opcode => opcode,
            };
            let unique = kernel.send_as(random.below(3) as u32, opcode, random.below(20), &body);
            kernel.expect_one_answer(opcode, unique, &format!("round {round}, {body:?}"));
        }
        end(stage, kernel, session);
    });
}

#[test]
fn only_what_is_on_an_open_file_passes_for_those_without_access() {
    const STRANGER: u32 = 1234;
    let on_an_open_file =
        [READ, WRITE, FLUSH, FSYNC, RELEASE, READDIR, READDIRPLUS, FSYNCDIR, RELEASEDIR];
    on_both(|stage| {
        // This process is root, and so is the owner.
        for (acl, uids) in [
            (SessionACL::Owner, &[(0, true), (STRANGER, false)][..]),
            (SessionACL::RootAndOwner, &[(0, true), (STRANGER, false)]),
            (SessionACL::All, &[(0, true), (STRANGER, true)]),
        ] {
            let mut config = config();
            config.acl = acl;
            let builder = AsyncSessionBuilder::new(Nothing).config(&config);
            let (kernel, session) = begin(stage, builder);
            for &(uid, allowed) in uids {
                for &opcode in ANSWERED {
                    let reply = kernel.ask_as(uid, opcode, 1, &valid(opcode));
                    let expected = !allowed && !on_an_open_file.contains(&opcode);
                    let is_refused = reply.error == libc::EACCES;
                    assert_eq!(is_refused, expected, "{acl:?}, user {uid}, opcode {opcode}");
                }
            }
            end(stage, kernel, session);
        }
    });
}

#[test]
fn an_ioctl_whose_arguments_are_pointers_is_not_called() {
    on_both(|stage| {
        let (filesystem, _) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        let ioctl = |flags: u32| words_of(&[0, 0, flags, 0x4711, 0, 0, 0, 100]);
        const UNRESTRICTED: u32 = 1 << 1;
        assert_eq!(kernel.ask(IOCTL, READY, &ioctl(0)).error, libc::EDOM);
        assert_eq!(kernel.ask(IOCTL, READY, &ioctl(UNRESTRICTED)).error, libc::ENOSYS);
        end(stage, kernel, session);
    });
}
