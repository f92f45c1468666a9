//! What is under way can be seen from outside.

use std::time::{Duration, Instant};

use async_fuser::INodeNo;
use async_fuser::lib_async::{InFlight, SessionHandle};
use async_fuser::op::Opcode;
use tests::opcode::*;

use crate::stage::*;

/// What is listed when that many are: an answer is sent before its request is taken off the list.
#[track_caller]
fn wait_for(session: &SessionHandle, number: usize) -> Vec<InFlight> {
    let mut listed = Vec::new();
    tests::eventually(LIMIT, &format!("{number} are listed"), || {
        listed = session.in_flight();
        listed.len() == number
    });
    listed
}

#[test]
fn what_waits_is_listed_until_it_is_answered() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        assert!(session.in_flight().is_empty());
        let begun = Instant::now();
        let read = kernel.send(READ, LATER, &[0; 40]);
        watch.wait_for_entered(1);
        // The clock is a coarse one.
        std::thread::sleep(Duration::from_millis(30));
        let write = kernel.send(WRITE, LATER, &[0; 40]);
        watch.wait_for_entered(2);
        let listed = wait_for(&session, 2);
        let seen: Vec<_> = listed
            .iter()
            .map(|one| {
                (one.unique().0, one.operation(), one.ino(), one.pid(), one.is_interrupted())
            })
            .collect();
        let expected = |unique, opcode| (unique, opcode, INodeNo(LATER), 4242, false);
        assert_eq!(seen, [expected(read, Opcode::READ), expected(write, Opcode::WRITE)]);
        let ages = [listed[0].age(), listed[1].age()];
        assert!(ages[0] > ages[1] && ages[0] <= begun.elapsed() + SLACK, "{ages:?}");
        let text = listed[0].to_string();
        assert!(text.starts_with("READ of inode 2 for thread 4242, "), "{text}");

        interrupt(&kernel, write);
        expect_silence(&kernel);
        let listed = wait_for(&session, 2);
        assert_eq!(
            listed.iter().map(|one| one.is_interrupted()).collect::<Vec<_>>(),
            [false, true]
        );
        assert!(listed[1].to_string().ends_with(", interrupted"), "{}", listed[1]);

        watch.let_pass(2);
        kernel.receive();
        kernel.receive();
        wait_for(&session, 0);
        end(stage, kernel, session);
    });
}

/// By how much a coarse clock may be off.
const SLACK: Duration = Duration::from_millis(20);

#[test]
fn a_method_that_blocks_its_thread_is_listed() {
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                if is_later(&op) {
                    let inside = watch.enter();
                    watch.block();
                    inside.leave();
                }
                at_once(&op)
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        let unique = kernel.send(LOOKUP, LATER, b"name\0");
        watch.wait_for_entered(1);
        let listed = wait_for(&session, 1);
        assert_eq!((listed[0].unique().0, listed[0].operation()), (unique, Opcode::LOOKUP));
        watch.unblock();
        expect(&kernel, unique, libc::EDOM);
        wait_for(&session, 0);
        end(stage, kernel, session);
    });
}

#[test]
fn many_are_listed_in_the_order_they_came_in() {
    const REQUESTS: usize = 300;
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        for round in 1..=3 {
            for _ in 0..REQUESTS {
                kernel.send(READ, LATER, &[0; 40]);
                kernel.ask(STATFS, READY, &[]);
            }
            watch.wait_for_entered(round * REQUESTS);
            let listed = wait_for(&session, REQUESTS);
            assert!(listed.is_sorted_by_key(|one| std::cmp::Reverse(one.age())));
            watch.let_pass(REQUESTS);
            for _ in 0..REQUESTS {
                kernel.receive();
            }
            wait_for(&session, 0);
        }
        end(stage, kernel, session);
    });
}
