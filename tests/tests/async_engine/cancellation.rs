use std::future::pending;
use std::sync::{Arc, Mutex};

use async_fuser::lib_async::*;
use async_fuser::op::Operation;
use tests::opcode::*;
use tests::request;

use crate::stage::*;

/// What is dropped when its caller is interrupted, because it changes nothing.
const CHANGE_NOTHING: &[u32] = &[
    LOOKUP,
    GETATTR,
    STATX,
    READLINK,
    OPEN,
    READ,
    OPENDIR,
    READDIR,
    READDIRPLUS,
    GETXATTR,
    LISTXATTR,
    ACCESS,
    GETLK,
    SETLKW,
    BMAP,
    POLL,
    LSEEK,
];

#[test]
fn an_interrupt_drops_what_changes_nothing() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        for (done, &opcode) in CHANGE_NOTHING.iter().enumerate() {
            let unique = kernel.send(opcode, LATER, &valid(opcode));
            watch.wait_for_entered(done + 1);
            interrupt(&kernel, unique);
            expect(&kernel, unique, libc::EINTR);
            watch.wait_for_dropped(done + 1);
            expect_silence(&kernel);
        }
        end(stage, kernel, session);
    });
}

#[test]
fn an_interrupt_is_told_to_what_changes_something_and_drops_it_not() {
    let changing = ANSWERED.iter().filter(|code| !CHANGE_NOTHING.contains(code));
    let changing: Vec<_> = changing.copied().filter(|&code| code != STATFS).collect();
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                if is_later(&op) {
                    let inside = watch.enter();
                    let cancellation = Cancellation::current();
                    assert!(!cancellation.is_cancelled());
                    cancellation.cancelled().await;
                    assert!(cancellation.is_cancelled() && Cancellation::current().is_cancelled());
                    watch.note(op.req().unique().0.to_string());
                    watch.pass().await;
                    inside.leave();
                }
                at_once(&op)
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        for (done, &opcode) in changing.iter().enumerate() {
            let unique = kernel.send(opcode, LATER, &valid(opcode));
            watch.wait_for_entered(done + 1);
            interrupt(&kernel, unique);
            watch.wait_for_note(&unique.to_string());
            expect_silence(&kernel);
            watch.let_pass(1);
            assert_eq!(kernel.receive().unique, unique, "opcode {opcode}");
            expect_silence(&kernel);
        }
        assert_eq!((watch.left(), watch.dropped()), (changing.len(), 0));
        end(stage, kernel, session);
    });
}

#[test]
fn a_write_may_end_early_by_itself() {
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                let Operation::Write(op) = op else { return at_once(&op) };
                let inside = watch.enter();
                let cancellation = Cancellation::current();
                tokio::select! {
                    () = cancellation.cancelled() => {}
                    () = watch.pass() => {}
                }
                inside.leave();
                Ok(Reply::Written(Written(op.data.len() as u64 / 2)))
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        let body = [&words_of(&[0, 0, 0, 0, 10, 0, 0, 0, 0, 0])[..], &[0; 10]].concat();
        let unique = kernel.send(WRITE, LATER, &body);
        watch.wait_for_entered(1);
        interrupt(&kernel, unique);
        let reply = kernel.receive();
        assert_eq!((reply.unique, reply.error, words(&reply.body)[0]), (unique, 0, 5));
        end(stage, kernel, session);
    });
}

#[test]
fn a_shield_holds_until_its_end() {
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                if is_later(&op) {
                    let _inside = watch.enter();
                    Cancellation::shield(async {
                        Cancellation::current().cancelled().await;
                        watch.note("told");
                        watch.pass().await;
                    })
                    .await;
                    watch.note("behind");
                    // Nothing ever wakes this: it has to be dropped as soon as it waits.
                    pending::<()>().await;
                }
                at_once(&op)
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        let unique = kernel.send(READ, LATER, &[0; 40]);
        watch.wait_for_entered(1);
        interrupt(&kernel, unique);
        watch.wait_for_note("told");
        expect_silence(&kernel);
        assert_eq!(watch.dropped(), 0);
        watch.let_pass(1);
        expect(&kernel, unique, libc::EINTR);
        watch.wait_for_dropped(1);
        assert_eq!(watch.noted(), ["told", "behind"]);
        end(stage, kernel, session);
    });
}

#[test]
fn what_ends_behind_its_shield_without_waiting_is_answered() {
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                if is_later(&op) {
                    let inside = watch.enter();
                    Cancellation::shield(watch.pass()).await;
                    inside.leave();
                }
                at_once(&op)
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        let unique = kernel.send(READ, LATER, &[0; 40]);
        watch.wait_for_entered(1);
        interrupt(&kernel, unique);
        expect_silence(&kernel);
        watch.let_pass(1);
        expect(&kernel, unique, libc::EDOM);
        end(stage, kernel, session);
    });
}

#[test]
fn a_part_that_is_interruptible_is_dropped_with_its_method() {
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                if is_later(&op) {
                    let _inside = watch.enter();
                    watch.pass().await;
                    let part = async {
                        let _part = watch.enter();
                        pending::<()>().await;
                    };
                    Cancellation::interruptible(part).await;
                }
                at_once(&op)
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        // Within the part, and before it.
        for (done, is_within) in [true, false].into_iter().enumerate() {
            let (entered, dropped) = (2 * done, 2 * done);
            let unique = kernel.send(WRITE, LATER, &[0; 40]);
            watch.wait_for_entered(entered + 1);
            if is_within {
                watch.let_pass(1);
                watch.wait_for_entered(entered + 2);
                interrupt(&kernel, unique);
            } else {
                interrupt(&kernel, unique);
                expect_silence(&kernel);
                assert_eq!(watch.dropped(), dropped);
                watch.let_pass(1);
            }
            expect(&kernel, unique, libc::EINTR);
            watch.wait_for_dropped(dropped + 2);
        }
        end(stage, kernel, session);
    });
}

#[test]
fn a_shield_within_an_interruptible_part_holds() {
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                if is_later(&op) {
                    let _inside = watch.enter();
                    let shielded = Cancellation::shield(watch.pass());
                    Cancellation::interruptible(async {
                        shielded.await;
                        pending::<()>().await;
                    })
                    .await;
                }
                at_once(&op)
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        let unique = kernel.send(WRITE, LATER, &[0; 40]);
        watch.wait_for_entered(1);
        interrupt(&kernel, unique);
        expect_silence(&kernel);
        assert_eq!(watch.dropped(), 0);
        watch.let_pass(1);
        expect(&kernel, unique, libc::EINTR);
        end(stage, kernel, session);
    });
}

#[test]
fn an_interrupt_may_come_before_its_request() {
    const UNIQUE: u64 = 1 << 40;
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        for unique in [UNIQUE, UNIQUE + 2] {
            interrupt(&kernel, unique);
            kernel.send_bytes(&request(READ, unique, LATER, 0, &[0; 40]));
            expect(&kernel, unique, libc::EINTR);
        }
        watch.wait_for_dropped(2);
        // One that is ready is answered all the same, and one that changes something goes on.
        interrupt(&kernel, UNIQUE + 4);
        kernel.send_bytes(&request(READ, UNIQUE + 4, READY, 0, &[0; 40]));
        expect(&kernel, UNIQUE + 4, libc::EDOM);
        interrupt(&kernel, UNIQUE + 6);
        kernel.send_bytes(&request(WRITE, UNIQUE + 6, LATER, 0, &[0; 40]));
        watch.wait_for_entered(3);
        expect_silence(&kernel);
        watch.let_pass(1);
        expect(&kernel, UNIQUE + 6, libc::EDOM);
        end(stage, kernel, session);
    });
}

#[test]
fn interrupts_of_what_is_over_or_never_was_concern_nobody() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        let mut done = Vec::new();
        for round in 1..=20 {
            let ready = kernel.send(READ, READY, &[0; 40]);
            expect(&kernel, ready, libc::EDOM);
            interrupt(&kernel, ready);
            let waits = kernel.send(READ, LATER, &[0; 40]);
            watch.wait_for_entered(round);
            // Many more than are remembered.
            for unique in (1..200).map(|number| number << 32) {
                interrupt(&kernel, unique);
            }
            done.iter().for_each(|&unique| interrupt(&kernel, unique));
            expect_silence(&kernel);
            watch.let_pass(1);
            expect(&kernel, waits, libc::EDOM);
            done.extend([ready, waits]);
        }
        assert_eq!(watch.dropped(), 0);
        end(stage, kernel, session);
    });
}

#[test]
fn two_interrupts_are_one() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        for done in 1..=20 {
            let unique = kernel.send(READ, LATER, &[0; 40]);
            watch.wait_for_entered(done);
            for _ in 0..3 {
                interrupt(&kernel, unique);
            }
            expect(&kernel, unique, libc::EINTR);
            expect_silence(&kernel);
        }
        end(stage, kernel, session);
    });
}

#[test]
fn only_a_lock_that_is_waited_for_may_be_dropped() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        let at_once = kernel.send(SETLK, LATER, &valid(SETLK));
        let sleeps = kernel.send(SETLKW, LATER, &valid(SETLKW));
        watch.wait_for_entered(2);
        interrupt(&kernel, at_once);
        interrupt(&kernel, sleeps);
        expect(&kernel, sleeps, libc::EINTR);
        expect_silence(&kernel);
        watch.let_pass(1);
        expect(&kernel, at_once, libc::EDOM);
        end(stage, kernel, session);
    });
}

/// Keeps the token of every request.
fn keeps() -> (impl Serve, Watch, Arc<Mutex<Vec<Cancellation>>>) {
    let kept = Arc::<Mutex<Vec<_>>>::default();
    let keep = kept.clone();
    let (filesystem, watch) = does(move |watch, op| {
        let keep = keep.clone();
        Box::pin(async move {
            if node(&op) != READY {
                keep.lock().unwrap().push(Cancellation::current());
            }
            if is_later(&op) {
                let inside = watch.enter();
                watch.pass().await;
                inside.leave();
            }
            at_once(&op)
        })
    });
    (filesystem, watch, kept)
}

#[test]
fn a_token_that_is_kept_stays_its_requests() {
    on_both(|stage| {
        let (filesystem, watch, kept) = keeps();
        let (kernel, session) = begin(stage, builder(filesystem));
        let was_cancelled =
            || kept.lock().unwrap().iter().map(Cancellation::is_cancelled).collect::<Vec<_>>();
        // One that was interrupted, one that was not, one that never waited, and one to come.
        let first = kernel.send(READ, LATER, &[0; 40]);
        watch.wait_for_entered(1);
        interrupt(&kernel, first);
        expect(&kernel, first, libc::EINTR);
        let second = kernel.send(READ, LATER, &[0; 40]);
        watch.wait_for_entered(2);
        watch.let_pass(1);
        expect(&kernel, second, libc::EDOM);
        kernel.ask(READ, 3, &[0; 40]);
        assert_eq!(was_cancelled(), [true, false, false]);
        let fourth = kernel.send(READ, LATER, &[0; 40]);
        watch.wait_for_entered(3);
        interrupt(&kernel, fourth);
        expect(&kernel, fourth, libc::EINTR);
        for unique in [first, second, fourth] {
            interrupt(&kernel, unique);
        }
        expect_silence(&kernel);
        assert_eq!(was_cancelled(), [true, false, false, true]);
        end(stage, kernel, session);
    });
}

#[test]
fn a_token_wakes_whoever_it_was_handed_to() {
    on_both(|stage| {
        let (filesystem, watch, kept) = keeps();
        let (kernel, session) = begin(stage, builder(filesystem));
        let unique = kernel.send(WRITE, LATER, &[0; 40]);
        watch.wait_for_entered(1);
        let token = kept.lock().unwrap()[0].clone();
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let token = token.clone();
                stage.start(async move { token.cancelled().await })
            })
            .collect();
        interrupt(&kernel, unique);
        waiting.into_iter().for_each(Started::wait);
        watch.let_pass(1);
        expect(&kernel, unique, libc::EDOM);
        end(stage, kernel, session);
    });
}

#[test]
fn a_cancellation_is_not_the_next_requests() {
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                if is_later(&op) {
                    let inside = watch.enter();
                    assert!(!Cancellation::current().is_cancelled());
                    watch.pass().await;
                    assert!(!Cancellation::current().is_cancelled());
                    inside.leave();
                }
                at_once(&op)
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        for round in 0..200 {
            let unique = kernel.send(READ, LATER, &[0; 40]);
            watch.wait_for_entered(2 * round + 1);
            interrupt(&kernel, unique);
            expect(&kernel, unique, libc::EINTR);
            let unique = kernel.send(READ, LATER, &[0; 40]);
            watch.wait_for_entered(2 * round + 2);
            kernel.ask(READ, READY, &[0; 40]);
            watch.let_pass(1);
            expect(&kernel, unique, libc::EDOM);
        }
        end(stage, kernel, session);
    });
}

/// Interrupts race with answers: whoever wins, there is one answer.
#[test]
fn an_interrupt_and_an_answer_at_the_same_time_are_one_answer() {
    const ROUNDS: usize = 500;
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        let mut interrupted = 0;
        for round in 1..=ROUNDS {
            let unique = kernel.send(READ, LATER, &[0; 40]);
            watch.wait_for_entered(round);
            watch.let_pass(1);
            interrupt(&kernel, unique);
            let reply = kernel.receive();
            assert_eq!(reply.unique, unique);
            match reply.error {
                // Whoever was dropped has left its permit to the next, or may have taken it along.
                libc::EINTR => interrupted += 1,
                error => assert_eq!(error, libc::EDOM),
            }
            expect_silence(&kernel);
        }
        assert_eq!(watch.dropped(), interrupted);
        assert_eq!(watch.left(), ROUNDS - interrupted);
        end(stage, kernel, session);
    });
}

#[test]
fn a_token_without_a_request_is_never_cancelled() {
    let token = Cancellation::current();
    assert!(!token.is_cancelled());
    let stage = Stage::new(Flavor::CurrentThread);
    let part = stage.run(async move {
        let whole = Cancellation::shield(Cancellation::interruptible(async { 7 })).await;
        tokio::select! {
            biased;
            () = token.cancelled() => 0,
            () = tokio::task::yield_now() => whole,
        }
    });
    assert_eq!(part, 7);
    stage.close();
}

/// FORGET is never answered, also when it is interrupted.
#[test]
fn what_is_never_answered_is_not_answered_when_it_is_interrupted() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        let unique = kernel.send(FORGET, LATER, &[0; 8]);
        watch.wait_for_entered(1);
        interrupt(&kernel, unique);
        expect_silence(&kernel);
        watch.let_pass(1);
        expect_silence(&kernel);
        end(stage, kernel, session);
        assert_eq!(watch.left(), 1, "it changes something");
    });
}
