use std::time::{Duration, Instant};

use async_fuser::FileHandle;
use async_fuser::lib_async::*;
use async_fuser::op::Operation;
use tests::opcode::*;

use crate::answers::attr;
use crate::stage::*;

const SHORT: Duration = Duration::from_millis(30);

#[test]
fn what_changes_nothing_is_dropped_at_its_deadline() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem).deadline(SHORT));
        for (done, opcode) in [READ, LOOKUP, OPEN, SETLKW].into_iter().enumerate() {
            let begun = Instant::now();
            let unique = kernel.send(opcode, LATER, &valid(opcode));
            expect(&kernel, unique, libc::ETIMEDOUT);
            assert!(begun.elapsed() >= SHORT, "after {:?}", begun.elapsed());
            watch.wait_for_dropped(done + 1);
            expect_silence(&kernel);
        }
        end(stage, kernel, session);
    });
}

#[test]
fn what_changes_something_goes_on_unheard() {
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                if is_later(&op) {
                    let inside = watch.enter();
                    // Nobody waits for it any more, which it may want to know.
                    Cancellation::current().cancelled().await;
                    watch.note("told");
                    watch.pass().await;
                    inside.leave();
                }
                at_once(&op)
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem).deadline(SHORT));
        let unique = kernel.send(WRITE, LATER, &[0; 40]);
        expect(&kernel, unique, libc::ETIMEDOUT);
        watch.wait_for_note("told");
        interrupt(&kernel, unique);
        expect_silence(&kernel);
        assert_eq!(watch.dropped(), 0);
        watch.let_pass(1);
        tests::eventually(LIMIT, "it ends", || watch.left() == 1);
        expect_silence(&kernel);
        end(stage, kernel, session);
    });
}

#[test]
fn what_is_shielded_goes_on_unheard_and_is_dropped_behind() {
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                if is_later(&op) {
                    let _inside = watch.enter();
                    Cancellation::shield(watch.pass()).await;
                    watch.note("behind");
                    std::future::pending::<()>().await;
                }
                at_once(&op)
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem).deadline(SHORT));
        let unique = kernel.send(READ, LATER, &[0; 40]);
        expect(&kernel, unique, libc::ETIMEDOUT);
        expect_silence(&kernel);
        assert_eq!(watch.dropped(), 0);
        watch.let_pass(1);
        watch.wait_for_note("behind");
        watch.wait_for_dropped(1);
        expect_silence(&kernel);
        end(stage, kernel, session);
    });
}

#[test]
fn what_ends_in_time_is_answered() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem).deadline(FOREVER));
        for done in 1..=20 {
            let unique = kernel.send(READ, LATER, &[0; 40]);
            watch.wait_for_entered(done);
            watch.let_pass(1);
            expect(&kernel, unique, libc::EDOM);
        }
        end(stage, kernel, session);
    });
}

#[test]
fn each_operation_may_have_its_own_deadline() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let builder = builder(filesystem)
            .deadline_of("write", FOREVER)
            .deadline(SHORT)
            .deadline_of("lookup", None);
        let (kernel, session) = begin(stage, builder);
        let lookup = kernel.send(LOOKUP, LATER, b"name\0");
        let write = kernel.send(WRITE, LATER, &[0; 40]);
        let read = kernel.send(READ, LATER, &[0; 40]);
        expect(&kernel, read, libc::ETIMEDOUT);
        assert_eq!(watch.dropped(), 1);
        watch.let_pass(2);
        let mut answered = [kernel.receive(), kernel.receive()].map(|reply| reply.unique);
        answered.sort_unstable();
        assert_eq!(answered, [lookup, write]);
        end(stage, kernel, session);
    });
}

#[test]
#[should_panic(expected = "no operation with a method 'raed'")]
fn a_deadline_of_nothing_is_a_mistake() {
    let _builder = builder(Nothing).deadline_of("raed", SHORT);
}

/// What is opened or made after its caller has been told that it takes too long.
#[test]
fn what_is_opened_too_late_is_released_and_forgotten_once() {
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                match op {
                    Operation::Release(op) => {
                        // The kernel does not know that file: others see no difference.
                        tokio::task::yield_now().await;
                        watch.note(format!("release {} {}", op.ino, op.fh));
                        Ok(Reply::Empty(()))
                    }
                    Operation::Releasedir(op) => {
                        watch.note(format!("releasedir {} {}", op.ino, op.fh));
                        Ok(Reply::Empty(()))
                    }
                    Operation::Forget(op) => {
                        tokio::task::yield_now().await;
                        watch.note(format!("forget {} {}", op.ino, op.nlookup));
                        Ok(Reply::Empty(()))
                    }
                    op if is_later(&op) => {
                        let inside = watch.enter();
                        Cancellation::shield(watch.pass()).await;
                        inside.leave();
                        let opened = Opened::new(FileHandle(77));
                        let created = Created::new(attr(55), SHORT, opened);
                        Ok(match op {
                            Operation::Create(_) | Operation::Tmpfile(_) => Reply::Created(created),
                            Operation::Mkdir(_) => Reply::Entry(Entry::new(attr(56), SHORT)),
                            Operation::Lookup(_) => Reply::Entry(Entry::negative(SHORT)),
                            Operation::Setattr(_) => Reply::Attr(Attr::new(attr(57), SHORT)),
                            Operation::Readdirplus(op) => {
                                let mut listing = ListingPlus::new(&op);
                                for (ino, name) in [(1, "."), (1, ".."), (58, "one"), (59, "two")] {
                                    assert!(!listing.add(ino, name, &Entry::new(attr(ino), SHORT)));
                                }
                                Reply::ListingPlus(listing)
                            }
                            _ => Reply::Opened(opened),
                        })
                    }
                    op => at_once(&op),
                }
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem).deadline(SHORT));
        let cases: [(u32, &[&str]); 8] = [
            (OPEN, &["release 2 77"]),
            (OPENDIR, &["releasedir 2 77"]),
            (CREATE, &["release 55 77", "forget 55 1"]),
            (TMPFILE, &["release 55 77", "forget 55 1"]),
            (MKDIR, &["forget 56 1"]),
            (LOOKUP, &[]),
            (SETATTR, &[]),
            (READDIRPLUS, &["forget 58 1", "forget 59 1"]),
        ];
        let mut expected = Vec::new();
        for (done, (opcode, after)) in cases.into_iter().enumerate() {
            let body = match opcode {
                READDIRPLUS => words_of(&[0, 0, 0, 0, 4096, 0, 0, 0, 0, 0]),
                _ => valid(opcode),
            };
            let unique = kernel.send(opcode, LATER, &body);
            expect(&kernel, unique, libc::ETIMEDOUT);
            watch.let_pass(1);
            tests::eventually(LIMIT, "it ends", || watch.left() == done + 1);
            expected.extend_from_slice(after);
            tests::eventually(LIMIT, "it is undone", || watch.noted().len() >= expected.len());
            expect_silence(&kernel);
        }
        end(stage, kernel, session);
        assert_eq!(watch.noted(), expected);
    });
}
