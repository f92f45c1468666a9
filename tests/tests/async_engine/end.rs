//! The end of a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_fuser::FileHandle;
use async_fuser::lib_async::*;
use async_fuser::op::Operation;
use tests::opcode::*;

use crate::stage::*;

#[test]
fn a_closed_connection_is_a_clean_end_and_destroy_is_last() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem).drain(FOREVER));
        let handle = session.handle();
        kernel.send(READ, LATER, &[0; 40]);
        watch.wait_for_entered(1);
        drop(kernel);
        let ended = stage.start(session.join());
        assert_eq!(watch.destroyed(), 0, "a method is still running");
        watch.let_pass(1);
        ended.wait().expect("a clean end");
        assert_eq!((watch.left(), watch.dropped(), watch.destroyed()), (1, 0, 1));
        assert!(handle.in_flight().is_empty());
        stage.run(async move { handle.unmount().await }).expect("there is nothing to be done");
        assert_eq!(watch.destroyed(), 1);
    });
}

#[test]
fn an_unmount_ends_a_session_that_was_given_a_descriptor() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        expect_silence(&kernel);
        let handle = session.handle();
        stage.run(async move { handle.unmount().await }).expect("an unmount");
        stage.run(session.join()).expect("a clean end");
        assert!(kernel.is_closed());
        assert_eq!(watch.destroyed(), 1);
    });
}

#[test]
fn an_unmount_before_the_session_runs_ends_it_at_once() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = prepare(stage, builder(filesystem));
        let handle = session.handle();
        stage.run(async move { handle.unmount().await }).expect("an unmount");
        stage.run(session.run()).expect("a clean end");
        assert!(kernel.is_closed());
        assert_eq!(watch.destroyed(), 1);
    });
}

#[test]
fn what_waits_when_the_session_ends_may_end_by_itself() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem).drain(FOREVER));
        let unique = kernel.send(READ, LATER, &[0; 40]);
        watch.wait_for_entered(1);
        let ended = stage.start(session.unmount());
        // By now nothing is read any more, or soon.
        watch.let_pass(1);
        expect(&kernel, unique, libc::EDOM);
        ended.wait().expect("a clean end");
        assert_eq!((watch.left(), watch.dropped(), watch.destroyed()), (1, 0, 1));
    });
}

#[test]
fn what_has_not_ended_in_time_is_dropped_whatever_it_does() {
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                if is_later(&op) {
                    let _inside = watch.enter();
                    let token = Cancellation::current();
                    let _told = Told(token, watch.clone());
                    Cancellation::shield(watch.pass()).await;
                }
                at_once(&op)
            })
        });
        let drain = Duration::from_millis(30);
        let (kernel, session) = begin(stage, builder(filesystem).drain(drain));
        let mut sent: Vec<_> = [READ, WRITE, FSYNC, RENAME]
            .into_iter()
            .map(|opcode| kernel.send(opcode, LATER, &valid(opcode)))
            .collect();
        kernel.send(FORGET, LATER, &[0; 8]);
        watch.wait_for_entered(5);
        let begun = std::time::Instant::now();
        stage.run(session.unmount()).expect("a clean end");
        assert!(begun.elapsed() >= drain);
        let mut answered: Vec<_> = sent
            .iter()
            .map(|_| {
                let reply = kernel.receive();
                assert_eq!(reply.error, libc::ENOTCONN);
                reply.unique
            })
            .collect();
        sent.sort_unstable();
        answered.sort_unstable();
        assert_eq!(answered, sent);
        assert_eq!(kernel.receive_if_any(), None, "nothing more is said");
        assert_eq!((watch.dropped(), watch.destroyed()), (5, 1));
        assert_eq!(watch.noted(), ["told"; 5]);
    });
}

/// Notes when it is dropped whether its request was cancelled.
struct Told(Cancellation, Watch);

impl Drop for Told {
    fn drop(&mut self) {
        self.1.note(if self.0.is_cancelled() { "told" } else { "not told" });
    }
}

/// A method that begins to wait when everything is being dropped is dropped like the rest.
#[test]
fn what_begins_to_wait_after_the_end_is_dropped() {
    let (filesystem, watch) = does(|watch, op| {
        Box::pin(async move {
            if is_later(&op) {
                let _inside = watch.enter();
                watch.block();
                std::future::pending::<()>().await;
            }
            at_once(&op)
        })
    });
    let stage = Stage::new(Flavor::MultiThread);
    let (kernel, session) = begin(&stage, builder(filesystem).drain(Duration::ZERO));
    let unique = kernel.send(READ, LATER, &[0; 40]);
    watch.wait_for_entered(1);
    let error = stage.run(session.unmount()).expect_err("a method blocks");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    watch.unblock();
    watch.wait_for_dropped(1);
    tests::eventually(LIMIT, "it is destroyed", || watch.destroying() == 1);
    // The connection was ended meanwhile, so that the answer went nowhere.
    if let Some(reply) = kernel.receive_if_any() {
        assert_eq!((reply.unique, reply.error), (unique, libc::ENOTCONN));
    }
    stage.close();
}

#[test]
fn a_method_that_blocks_is_an_error_in_time_and_destroy_comes_behind_it() {
    // Where it was read, and where it waited.
    for is_in_place in [true, false] {
        let (filesystem, watch) = does(move |watch, op| {
            Box::pin(async move {
                if is_later(&op) {
                    let inside = watch.enter();
                    if !is_in_place {
                        tokio::task::yield_now().await;
                    }
                    watch.note("blocks");
                    watch.block();
                    inside.leave();
                }
                at_once(&op)
            })
        });
        let stage = Stage::new(Flavor::MultiThread);
        let drain = Duration::from_millis(30);
        let (kernel, session) = begin(&stage, builder(filesystem).drain(drain));
        kernel.send(READ, LATER, &[0; 40]);
        watch.wait_for_note("blocks");
        let error = stage.run(session.unmount()).expect_err("a method blocks");
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("blocks its thread"), "{error}");
        assert_eq!(watch.destroying(), 0);
        watch.unblock();
        tests::eventually(LIMIT, "it is destroyed", || watch.destroying() == 1);
        assert_eq!((watch.left(), watch.dropped()), (1, 0));
        stage.close();
    }
}

#[test]
fn destroy_of_the_kernel_ends_a_session_and_is_answered() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem).drain(FOREVER));
        let waits = kernel.send(READ, LATER, &[0; 40]);
        watch.wait_for_entered(1);
        let unique = kernel.send(DESTROY, 0, &[]);
        expect(&kernel, unique, 0);
        watch.let_pass(1);
        expect(&kernel, waits, libc::EDOM);
        stage.run(session.join()).expect("a clean end");
        assert!(kernel.is_closed());
        assert_eq!((watch.left(), watch.destroyed()), (1, 1));
    });
}

#[test]
fn a_session_that_is_dropped_unrun_is_closed_and_destroyed() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = prepare(stage, builder(filesystem));
        let handle = session.handle();
        kernel.send(STATFS, READY, &[]);
        drop(session);
        assert!(kernel.is_closed());
        // It is polled once, and this one waits.
        assert_eq!((watch.destroying(), watch.destroyed()), (1, 0));
        assert!(handle.in_flight().is_empty());
        stage.run(async move { handle.unmount().await }).expect("there is nothing to be done");
    });
}

#[test]
fn a_session_that_is_dropped_in_the_background_ends_by_itself() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem).drain(FOREVER));
        let unique = kernel.send(READ, LATER, &[0; 40]);
        watch.wait_for_entered(1);
        drop(session);
        watch.let_pass(1);
        expect(&kernel, unique, libc::EDOM);
        assert!(kernel.is_closed());
        watch.wait_for_destroy();
    });
}

#[test]
fn a_run_that_is_dropped_ends_the_session() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = prepare(stage, builder(filesystem));
        let running = stage.handle.spawn(session.run());
        expect_silence(&kernel);
        running.abort();
        assert!(kernel.is_closed());
        watch.wait_for_destroy();
    });
}

#[test]
fn whoever_waits_for_a_session_may_give_up() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        stage.handle.spawn(session.join()).abort();
        assert!(kernel.is_closed());
        watch.wait_for_destroy();
    });
}

#[test]
fn every_request_is_answered_once_when_the_runtime_is_dropped() {
    const REQUESTS: usize = 200;
    for flavor in [Flavor::CurrentThread, Flavor::MultiThread] {
        let stage = Stage::new(flavor);
        let destroyed = Arc::new(AtomicUsize::new(0));
        struct Waits(Watch, Arc<AtomicUsize>);
        impl AsyncFilesystem for Waits {
            async fn read(&self, op: async_fuser::op::Read<'_>) -> Result<Data<'_>> {
                let _inside = self.0.enter();
                if op.ino.0 == LATER {
                    tokio::time::sleep(FOREVER).await;
                }
                Cancellation::shield(self.0.pass()).await;
                Ok(Data::default())
            }

            async fn destroy(&mut self) {
                self.1.fetch_add(1, Ordering::SeqCst);
            }
        }
        let watch = Watch::default();
        let (kernel, session) =
            begin(&stage, builder(Waits(watch.clone(), destroyed.clone())).deadline(FOREVER));
        let mut sent: Vec<_> = (0..REQUESTS as u64)
            .map(|at| kernel.send(READ, READY + at % 2, &vec![0; 40 + 100 * at as usize]))
            .collect();
        watch.wait_for_entered(REQUESTS);
        let handle = session.handle();
        stage.close();
        let mut answered: Vec<_> = sent
            .iter()
            .map(|_| {
                let reply = kernel.receive();
                assert_eq!(reply.error, libc::EIO);
                reply.unique
            })
            .collect();
        sent.sort_unstable();
        answered.sort_unstable();
        assert_eq!(answered, sent);
        assert_eq!(kernel.receive_if_any(), None, "nothing more is said");
        assert_eq!(watch.dropped(), REQUESTS);
        assert_eq!(destroyed.load(Ordering::SeqCst), 1);
        assert!(handle.in_flight().is_empty());
        drop(session);
        assert!(kernel.is_closed());
    }
}

#[test]
fn what_is_opened_after_the_end_is_released_once() {
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                match op {
                    Operation::Release(op) => {
                        watch.note(format!("release {} {}", op.ino, op.fh));
                        Ok(Reply::Empty(()))
                    }
                    Operation::Open(_) => {
                        let inside = watch.enter();
                        watch.pass().await;
                        inside.leave();
                        Ok(Reply::Opened(Opened::new(FileHandle(77))))
                    }
                    op => at_once(&op),
                }
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem).drain(FOREVER));
        kernel.send(OPEN, 9, &[0; 8]);
        watch.wait_for_entered(1);
        drop(kernel);
        watch.let_pass(1);
        stage.run(session.join()).expect("a clean end");
        assert_eq!(watch.noted(), ["release 9 77"]);
        assert_eq!(watch.destroyed(), 1);
    });
}

#[test]
fn sessions_come_and_go_on_one_runtime_and_leave_nothing() {
    on_both(|stage| {
        let alive = || stage.handle.metrics().num_alive_tasks();
        for _ in 0..50 {
            let (filesystem, watch) = waits();
            let (kernel, session) = begin(stage, builder(filesystem));
            for _ in 0..3 {
                kernel.send(READ, LATER, &[0; 40]);
            }
            watch.wait_for_entered(3);
            watch.let_pass(3);
            for _ in 0..3 {
                kernel.receive();
            }
            stage.run(session.unmount()).expect("a clean end");
            assert_eq!(watch.destroyed(), 1);
            assert!(kernel.is_closed());
        }
        tests::eventually(LIMIT, "no task is left", || alive() == 0);
    });
}
