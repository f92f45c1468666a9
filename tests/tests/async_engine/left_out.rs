//! What a filesystem does not have is answered without it.

use std::io;

use async_fuser::lib_async::*;
use async_fuser::op::Operation;
use async_fuser::{KernelConfig, Operations, Request};
use tests::opcode::*;

use crate::stage::*;

/// Has nothing, and would not survive being asked.
struct Refuses;

impl Serve for Refuses {
    const OPERATIONS: Operations = Operations::NONE;

    async fn init(&mut self, _: &Request, _: &mut KernelConfig) -> io::Result<()> {
        Ok(())
    }

    async fn serve<'a>(&'a self, operation: Operation<'a>) -> Result<Reply<'a>> {
        // Nobody hears of a panic in what is not answered.
        eprintln!("{} was called", operation.method());
        std::process::abort();
    }

    async fn destroy(&mut self) {}
}

#[test]
fn what_is_not_in_the_set_is_answered_as_by_a_method_that_is_left_out() {
    on_both(|stage| {
        let (without, one) = begin(stage, builder(Refuses));
        let (defaults, other) = begin(stage, builder(Nothing));
        for &opcode in ANSWERED {
            let body = valid(opcode);
            let (got, expected) = (without.ask(opcode, 1, &body), defaults.ask(opcode, 1, &body));
            assert_eq!((got.error, &got.body), (expected.error, &expected.body), "opcode {opcode}");
            let known = match opcode {
                SYMLINK | LINK => libc::EPERM,
                IOCTL => libc::ENOTTY,
                OPEN | OPENDIR | RELEASE | RELEASEDIR | STATFS => 0,
                _ => libc::ENOSYS,
            };
            assert_eq!(got.error, known, "opcode {opcode}");
        }
        for kernel in [&without, &defaults] {
            kernel.send(FORGET, 1, &[0; 8]);
            kernel.send(BATCH_FORGET, 0, &words_of(&[1, 0, 7, 0, 1, 0]));
            let statfs = words(&kernel.ask(STATFS, 1, &[]).body);
            assert_eq!(statfs[10..13], [512, 255, 0], "block size, length of names, fragment size");
            for opcode in [OPEN, OPENDIR] {
                assert_eq!(kernel.ask(opcode, 1, &[0; 8]).body, [0; 16], "the handle 0, no flags");
            }
        }
        end(stage, without, one);
        end(stage, defaults, other);
    });
}

/// One method for each name, and whether it was called.
#[test]
fn each_method_is_called_for_its_own_opcodes_and_no_others() {
    let (filesystem, watch) = does(|watch, op| {
        watch.note(op.method());
        Box::pin(async move { at_once(&op) })
    });
    let stage = Stage::new(Flavor::CurrentThread);
    let (kernel, session) = begin(&stage, builder(filesystem));
    let mut expected = Vec::new();
    for (opcode, method) in METHODS {
        if *opcode == FORGET {
            kernel.send(FORGET, 1, &[0; 8]);
        } else if *opcode == BATCH_FORGET {
            kernel.send(BATCH_FORGET, 0, &words_of(&[1, 0, 7, 0, 1, 0]));
        } else {
            kernel.ask(*opcode, 1, &valid(*opcode));
        }
        expected.push(*method);
    }
    expect_silence(&kernel);
    assert_eq!(watch.noted()[..expected.len()], expected);
    let named: Vec<_> = METHODS.iter().map(|(_, method)| *method).collect();
    for method in Operations::ALL.names() {
        assert!(named.contains(&method), "no opcode for {method}");
    }
    end(&stage, kernel, session);
    stage.close();
}

#[test]
fn a_batch_is_forgotten_one_by_one_by_a_filesystem_that_does_not_say_otherwise() {
    struct Forgets(Watch);
    impl AsyncFilesystem for Forgets {
        const OPERATIONS: Operations = Operations::of(&["forget", "statfs"]);

        async fn forget(&self, op: async_fuser::op::Forget<'_>) {
            tokio::task::yield_now().await;
            self.0.note(format!("{} {}", op.ino, op.nlookup));
        }
    }
    on_both(|stage| {
        let watch = Watch::default();
        let (kernel, session) = begin(stage, builder(Forgets(watch.clone())));
        let two = words_of(&[2, 0, 7, 0, 1, 0, 8, 0, 3, 0]);
        kernel.send(BATCH_FORGET, 0, &two);
        // The count is a lie.
        kernel.send(BATCH_FORGET, 0, &[&words_of(&[3, 0])[..], &two[8..]].concat());
        kernel.send(FORGET, 9, &words_of(&[4, 0]));
        watch.wait_for_note("9 4");
        watch.wait_for_note("8 3");
        expect_silence(&kernel);
        let mut noted = watch.noted();
        noted.sort();
        assert_eq!(noted, ["7 1", "8 3", "9 4"]);
        end(stage, kernel, session);
    });
}

const METHODS: &[(u32, &str)] = &[
    (LOOKUP, "lookup"),
    (FORGET, "forget"),
    (BATCH_FORGET, "batch_forget"),
    (GETATTR, "getattr"),
    (SETATTR, "setattr"),
    (STATX, "statx"),
    (READLINK, "readlink"),
    (MKNOD, "mknod"),
    (MKDIR, "mkdir"),
    (UNLINK, "unlink"),
    (RMDIR, "rmdir"),
    (SYMLINK, "symlink"),
    (RENAME, "rename"),
    (RENAME2, "rename"),
    (LINK, "link"),
    (OPEN, "open"),
    (READ, "read"),
    (WRITE, "write"),
    (FLUSH, "flush"),
    (RELEASE, "release"),
    (FSYNC, "fsync"),
    (OPENDIR, "opendir"),
    (READDIR, "readdir"),
    (READDIRPLUS, "readdirplus"),
    (RELEASEDIR, "releasedir"),
    (FSYNCDIR, "fsyncdir"),
    (STATFS, "statfs"),
    (SETXATTR, "setxattr"),
    (GETXATTR, "getxattr"),
    (LISTXATTR, "listxattr"),
    (REMOVEXATTR, "removexattr"),
    (ACCESS, "access"),
    (CREATE, "create"),
    (TMPFILE, "tmpfile"),
    (GETLK, "getlk"),
    (SETLK, "setlk"),
    (SETLKW, "setlk"),
    (BMAP, "bmap"),
    (IOCTL, "ioctl"),
    (POLL, "poll"),
    (FALLOCATE, "fallocate"),
    (LSEEK, "lseek"),
    (COPY_FILE_RANGE, "copy_file_range"),
    (COPY_FILE_RANGE_64, "copy_file_range"),
    (SYNCFS, "syncfs"),
];
