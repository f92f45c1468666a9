//! What is ready is answered in place, what waits lets others pass.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_fuser::lib_async::*;
use async_fuser::op::Operation;
use async_fuser::{Errno, op};
use tests::opcode::*;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::stage::*;

#[test]
fn what_is_ready_is_answered_in_order_and_without_a_task() {
    // Tasks there are while a method runs: the session and its reader.
    const TASKS: usize = 2;
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            watch.note(format!("{}", Handle::current().metrics().num_alive_tasks()));
            Box::pin(async move { at_once(&op) })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        // Its reader is there when it answers; no method knows this opcode.
        assert_eq!(kernel.ask(4711, READY, &[]).error, libc::ENOSYS);
        // What began the session may not have been put away yet.
        let alive = || stage.handle.metrics().num_alive_tasks();
        tests::eventually(LIMIT, "nothing else is left", || alive() == TASKS);
        for _ in 0..20 {
            let sent: Vec<_> =
                ANSWERED.iter().map(|&opcode| kernel.send(opcode, READY, &valid(opcode))).collect();
            let answered: Vec<_> = sent.iter().map(|_| kernel.receive().unique).collect();
            assert_eq!(answered, sent);
        }
        let noted = watch.noted();
        assert_eq!(noted.len(), 20 * ANSWERED.len());
        assert!(noted.iter().all(|tasks| *tasks == TASKS.to_string()), "{noted:?}");
        end(stage, kernel, session);
    });
}

/// Methods that use the runtime's own locks are ready too, however many come in a row.
#[test]
fn what_takes_a_free_lock_is_ready() {
    struct Locks(Mutex<u64>);
    impl AsyncFilesystem for Locks {
        async fn getattr(&self, _: op::Getattr<'_>) -> Result<Attr> {
            for _ in 0..5 {
                *self.0.lock().await += 1;
            }
            Err(Errno::EDOM)
        }
    }
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Locks(Mutex::default())));
        for _ in 0..20 {
            let sent: Vec<_> = (0..100)
                .map(|at| match at % 2 {
                    0 => kernel.send(GETATTR, READY, &[0; 16]),
                    _ => kernel.send(STATFS, READY, &[]),
                })
                .collect();
            let answered: Vec<_> = sent.iter().map(|_| kernel.receive().unique).collect();
            assert_eq!(answered, sent);
        }
        end(stage, kernel, session);
    });
}

#[test]
fn what_waits_is_overtaken_and_answered_when_it_is_ready() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = begin(stage, builder(filesystem));
        for &opcode in ANSWERED.iter().filter(|&&opcode| opcode != STATFS) {
            let before = watch.entered();
            let unique = kernel.send(opcode, LATER, &valid(opcode));
            watch.wait_for_entered(before + 1);
            expect_silence(&kernel);
            watch.let_pass(1);
            let reply = kernel.receive();
            assert_eq!(reply.unique, unique, "opcode {opcode}");
        }
        assert_eq!((watch.dropped(), watch.left()), (0, watch.entered()));
        end(stage, kernel, session);
        assert_eq!(watch.destroyed(), 1);
    });
}

#[test]
fn what_waits_is_answered_in_any_order() {
    const REQUESTS: usize = 100;
    let gates: Arc<Vec<_>> =
        Arc::new((0..REQUESTS).map(|_| tokio::sync::Semaphore::new(0)).collect());
    let waiting = Arc::new(AtomicUsize::new(0));
    let (theirs, begun) = (gates.clone(), waiting.clone());
    let (filesystem, _) = does(move |_, op| {
        let (gates, begun) = (theirs.clone(), begun.clone());
        Box::pin(async move {
            if let Operation::Read(op) = op {
                begun.fetch_add(1, Ordering::SeqCst);
                gates[op.offset as usize].acquire().await.expect("it is open").forget();
            }
            at_once(&op)
        })
    });
    let stage = Stage::new(Flavor::MultiThread);
    let (kernel, session) = begin(&stage, builder(filesystem));
    let uniques: Vec<_> = (0..REQUESTS as u32)
        .map(|at| kernel.send(READ, READY, &words_of(&[0, 0, at, 0, 0, 0, 0, 0, 0, 0])))
        .collect();
    let all_wait = || waiting.load(Ordering::SeqCst) == REQUESTS;
    tests::eventually(LIMIT, "all wait", all_wait);
    let mut random = Random(0x5eed);
    let mut left: Vec<_> = (0..REQUESTS).collect();
    while !left.is_empty() {
        let at = left.swap_remove(random.below(left.len() as u64) as usize);
        gates[at].add_permits(1);
        expect(&kernel, uniques[at], libc::EDOM);
    }
    end(&stage, kernel, session);
    stage.close();
}

/// The bytes of a request that waits are its own, whether they were copied or handed over.
#[test]
fn what_waits_keeps_its_data_while_thousands_come() {
    // From both sides of what is copied, and the largest there is.
    const SIZES: [usize; 6] = [0, 100, 8192 - 80, 8192 - 79, 65_536, 128 << 10];
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                match op {
                    Operation::Write(op) if op.ino.0 == LATER => {
                        let inside = watch.enter();
                        watch.pass().await;
                        inside.leave();
                        Ok(Reply::Written(Written(sum(op.data))))
                    }
                    Operation::Write(op) => Ok(Reply::Written(Written(sum(op.data)))),
                    Operation::Rename(op) if op.parent.0 == LATER => {
                        let inside = watch.enter();
                        watch.pass().await;
                        inside.leave();
                        watch.note(format!("{:?} {:?}", op.name, op.newname));
                        Ok(Reply::Empty(()))
                    }
                    op => at_once(&op),
                }
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        let mut random = Random(0x5eed);
        let mut pending = Vec::new();
        for round in 0..3 {
            for size in SIZES {
                let data = random.bytes(size);
                pending.push((kernel.send(WRITE, LATER, &write(&data)), sum(&data)));
                let name = format!("name-{round}-{size}\0other-{round}-{size}\0");
                let rename = [&[0; 8][..], name.as_bytes()].concat();
                pending.push((kernel.send(RENAME, LATER, &rename), 0));
            }
        }
        watch.wait_for_entered(pending.len());
        for round in 0..3000 {
            let data = random.bytes(if round % 100 == 0 { 100_000 } else { 20 + round % 300 });
            let reply = kernel.ask(WRITE, READY, &write(&data));
            assert_eq!(u64::from(words(&reply.body)[0]), sum(&data), "round {round}");
        }
        watch.let_pass(pending.len());
        for _ in 0..pending.len() {
            let reply = kernel.receive();
            let at = pending.iter().position(|(unique, _)| *unique == reply.unique);
            let (_, expected) = pending.swap_remove(at.expect("one that was waiting"));
            let got = words(&reply.body).first().copied().unwrap_or(0);
            assert_eq!((reply.error, u64::from(got)), (0, expected));
        }
        let mut noted = watch.noted();
        noted.sort();
        let mut names: Vec<_> = (0..3)
            .flat_map(|round| {
                SIZES.map(|size| format!("\"name-{round}-{size}\" \"other-{round}-{size}\""))
            })
            .collect();
        names.sort();
        assert_eq!(noted, names);
        end(stage, kernel, session);
    });
}

fn write(data: &[u8]) -> Vec<u8> {
    [&words_of(&[0, 0, 0, 0, data.len() as u32, 0, 0, 0, 0, 0])[..], data].concat()
}

fn sum(data: &[u8]) -> u64 {
    data.iter().fold(7, |sum, byte| (sum * 31 + u64::from(*byte)) % 1_000_003)
}

/// A reader that is never idle gives way to what waits.
#[test]
fn what_waits_gets_its_turn_in_a_stream_of_requests() {
    on_both(|stage| {
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                if is_later(&op) {
                    let inside = watch.enter();
                    for _ in 0..3 {
                        tokio::task::yield_now().await;
                    }
                    inside.leave();
                }
                at_once(&op)
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        for _ in 0..20 {
            let mut sent: Vec<_> = (0..300)
                .map(|at| kernel.send(GETATTR, if at % 3 == 0 { LATER } else { READY }, &[0; 16]))
                .collect();
            let mut answered: Vec<_> = sent.iter().map(|_| kernel.receive().unique).collect();
            sent.sort_unstable();
            answered.sort_unstable();
            assert_eq!(answered, sent);
        }
        assert_eq!(watch.left(), 2000);
        end(stage, kernel, session);
    });
}

/// However many requests have come meanwhile, those that wait go on between them.
#[test]
fn what_waits_gets_its_turn_before_all_has_been_read() {
    const REQUESTS: usize = 2000;
    // What is read in one go, and as much again that is not done yet.
    const MOST: usize = 2 * 129;
    let stage = Stage::new(Flavor::CurrentThread);
    let (filesystem, watch) = does(|watch, op| {
        Box::pin(async move {
            let inside = watch.enter();
            tokio::task::yield_now().await;
            inside.leave();
            at_once(&op)
        })
    });
    let (kernel, session) = prepare(&stage, builder(filesystem));
    let sent: HashSet<_> = (0..REQUESTS).map(|_| kernel.send(GETATTR, LATER, &[0; 16])).collect();
    let session = session.spawn();
    let answered: HashSet<_> = sent.iter().map(|_| kernel.receive().unique).collect();
    assert_eq!(answered, sent);
    assert!(watch.peak() <= MOST, "{} were read before the first was done", watch.peak());
    end(&stage, kernel, session);
    stage.close();
}

/// A task that has served its request reads on while others wait, and what it reads may wait, be
/// interrupted and be late like any other.
#[test]
fn a_task_goes_on_with_what_has_come() {
    const FIRST: usize = 20;
    const MORE: usize = 10;
    let stage = Stage::new(Flavor::CurrentThread);
    let (filesystem, watch) = does(|watch, op| {
        Box::pin(async move {
            if !is_later(&op) {
                return at_once(&op);
            }
            // The reader, where that is who reads it.
            watch.note(tokio::task::id().to_string());
            let inside = watch.enter();
            watch.pass().await;
            inside.leave();
            match op {
                Operation::Write(op) => Ok(Reply::Written(Written(sum(op.data)))),
                op => at_once(&op),
            }
        })
    });
    let builder = builder(filesystem).deadline_of("lookup", Duration::from_millis(50));
    let (kernel, session) = begin(&stage, builder);
    let first: Vec<_> = (0..FIRST).map(|_| kernel.send(READ, LATER, &[0; 40])).collect();
    watch.wait_for_entered(FIRST);

    // The thread is busy while requests come, and while as many as these can end.
    let (busy, idle) = (mpsc::channel::<()>(), mpsc::channel());
    let (is_busy, goes_on) = (idle.0, busy.1);
    stage.handle.spawn(async move {
        is_busy.send(()).expect("the test waits");
        let _ = goes_on.recv();
    });
    idle.1.recv_timeout(LIMIT).expect("it is busy");
    let data = Random(0x5eed).bytes(100_000);
    let late = kernel.send(LOOKUP, LATER, b"name\0");
    let large = kernel.send(WRITE, LATER, &write(&data));
    let reads: Vec<_> = (2..MORE).map(|_| kernel.send(READ, LATER, &[0; 40])).collect();
    watch.let_pass(MORE);
    drop(busy.0);
    first[..MORE].iter().for_each(|&unique| expect(&kernel, unique, libc::EDOM));
    watch.wait_for_entered(FIRST + MORE);
    let noted = watch.noted();
    let (reader, others) = (&noted[0], &noted[FIRST..]);
    assert!(noted[..FIRST].iter().all(|task| task == reader), "{noted:?}");
    assert!(others.iter().all(|task| task != reader), "{noted:?}");

    expect(&kernel, late, libc::ETIMEDOUT);
    for &unique in &reads[1..] {
        interrupt(&kernel, unique);
        expect(&kernel, unique, libc::EINTR);
    }
    interrupt(&kernel, large);
    expect_silence(&kernel);
    watch.let_pass(FIRST - MORE + 2);
    let mut answers: Vec<_> = (0..FIRST - MORE + 2).map(|_| kernel.receive()).collect();
    answers.sort_by_key(|reply| reply.unique);
    let uniques: Vec<_> = answers.iter().map(|reply| reply.unique).collect();
    assert_eq!(uniques, [&first[MORE..], &[large, reads[0]]].concat());
    assert_eq!(u64::from(words(&answers[FIRST - MORE].body)[0]), sum(&data));
    end(&stage, kernel, session);
    stage.close();
}

/// Where there are other threads, one of them reads while a long answer is copied.
#[test]
fn what_takes_long_to_be_copied_is_a_task_where_others_can_read() {
    const LONG: u32 = 256 << 10;
    for flavor in [Flavor::CurrentThread, Flavor::MultiThread] {
        let stage = Stage::new(flavor);
        let (filesystem, watch) = does(|watch, op| {
            Box::pin(async move {
                let Operation::Read(op) = op else { return at_once(&op) };
                watch.note(tokio::task::id().to_string());
                Ok(Reply::Data(Data::from(vec![7; op.size as usize])))
            })
        });
        let (kernel, session) = begin(&stage, builder(filesystem));
        for (size, is_task) in [(LONG - 1, false), (LONG, flavor == Flavor::MultiThread)] {
            let read = words_of(&[0, 0, 0, 0, size, 0, 0, 0, 0, 0]);
            for _ in 0..10 {
                kernel.ask(READ, READY, &words_of(&[0; 10]));
                assert_eq!(kernel.ask(READ, READY, &read).body.len(), size as usize);
                let noted = watch.noted();
                let [.., reader, task] = &noted[..] else { panic!("{noted:?}") };
                assert_eq!(task != reader, is_task, "{size} bytes on {flavor:?}: {noted:?}");
            }
        }
        end(&stage, kernel, session);
        stage.close();
    }
}
