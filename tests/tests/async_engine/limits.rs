//! How much may wait at the same time.

use std::collections::HashSet;

use tests::Kernel;
use tests::opcode::*;

use crate::stage::*;

#[test]
fn no_more_wait_than_may_and_the_rest_follow() {
    const REQUESTS: usize = 40;
    on_both(|stage| {
        for limit in [1, 3] {
            let (filesystem, watch) = waits();
            let (kernel, session) = begin(stage, builder(filesystem).max_in_flight(limit));
            let mut uniques: HashSet<_> =
                (0..REQUESTS).map(|_| kernel.send(READ, LATER, &[0; 40])).collect();
            for done in 0..REQUESTS {
                watch.wait_for_entered(REQUESTS.min(done + limit));
                watch.let_pass(1);
                assert!(uniques.remove(&kernel.receive().unique), "an answer to nothing");
            }
            assert_eq!(watch.peak(), limit);
            assert_eq!(kernel.ask(STATFS, READY, &[]).error, 0);
            end(stage, kernel, session);
        }
    });
}

#[test]
fn what_is_ready_is_not_read_either_while_there_is_no_room() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem).max_in_flight(1));
        let waits = kernel.send(READ, LATER, &[0; 40]);
        let ready = kernel.send(STATFS, READY, &[]);
        watch.wait_for_entered(1);
        watch.let_pass(1);
        expect(&kernel, waits, libc::EDOM);
        expect(&kernel, ready, 0);
        end(stage, kernel, session);
    });
}

fn read(kernel: &Kernel, size: u32) -> u64 {
    kernel.send(READ, LATER, &words_of(&[0, 0, 0, 0, size, 0, 0, 0, 0, 0]))
}

#[test]
fn no_more_bytes_wait_than_may_and_one_more_request() {
    const REQUESTS: usize = 20;
    on_both(|stage| {
        // Each takes 80 bytes and its answer; what goes over the limit is the last to be read.
        for (size, limit, at_once) in [(920, 3000, 3), (920, 3001, 4), (920, 1, 1), (0, 159, 2)] {
            let (filesystem, watch) = waits();
            let (kernel, session) = begin(stage, builder(filesystem).max_in_flight_bytes(limit));
            for _ in 0..REQUESTS {
                read(&kernel, size);
            }
            for done in 0..REQUESTS {
                watch.wait_for_entered(REQUESTS.min(done + at_once));
                watch.let_pass(1);
                kernel.receive();
            }
            assert_eq!(watch.peak(), at_once, "reads of {size}, {limit} bytes");
            end(stage, kernel, session);
        }
    });
}

#[test]
fn a_request_larger_than_the_limit_is_served() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem).max_in_flight_bytes(0));
        for done in 1..=10 {
            let unique = read(&kernel, 1 << 20);
            watch.wait_for_entered(done);
            watch.let_pass(1);
            expect(&kernel, unique, libc::EDOM);
        }
        end(stage, kernel, session);
    });
}

#[test]
fn no_wake_up_is_lost() {
    const REQUESTS: usize = 20_000;
    const AT_ONCE: usize = 200;
    on_both(|stage| {
        for limit in [1, 2, 3] {
            let (filesystem, watch) = does(|watch, op| {
                Box::pin(async move {
                    if is_later(&op) {
                        let inside = watch.enter();
                        tokio::task::yield_now().await;
                        inside.leave();
                    }
                    at_once(&op)
                })
            });
            let (kernel, session) = begin(stage, builder(filesystem).max_in_flight(limit));
            for at in 0..REQUESTS {
                kernel.send(GETATTR, if at % 5 == 0 { READY } else { LATER }, &[0; 16]);
                if at >= AT_ONCE {
                    kernel.receive();
                }
            }
            for _ in 0..AT_ONCE {
                kernel.receive();
            }
            assert_eq!(watch.left(), REQUESTS / 5 * 4);
            assert!(watch.peak() <= limit, "{} of {limit}", watch.peak());
            end(stage, kernel, session);
        }
    });
}

#[test]
fn a_session_whose_limit_is_reached_can_be_ended() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let builder = builder(filesystem).max_in_flight(1).drain(std::time::Duration::ZERO);
        let (kernel, session) = begin(stage, builder);
        let waits = kernel.send(READ, LATER, &[0; 40]);
        kernel.send(STATFS, READY, &[]);
        watch.wait_for_entered(1);
        stage.run(session.unmount()).expect("a clean end");
        expect(&kernel, waits, libc::ENOTCONN);
        assert_eq!((watch.dropped(), watch.destroyed()), (1, 1));
        assert!(kernel.is_closed());
    });
}
