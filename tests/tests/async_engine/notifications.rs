use std::ffi::OsStr;
use std::io;
use std::thread;

use async_fuser::lib_async::*;
use async_fuser::op::Operation;
use async_fuser::{Filesystem, INodeNo, Notifier, PollHandle, Session, SessionACL};
use tests::opcode::*;
use tests::{Kernel, request};

use crate::stage::*;

const NAME: &str = "name";

#[test]
fn each_notification_is_the_sync_faces() {
    struct Sync;
    impl Filesystem for Sync {}
    let (theirs, fd) = Kernel::connect();
    let sync = thread::spawn(move || Session::from_fd(Sync, fd, SessionACL::All, config()));
    theirs.init(45);
    let sync = sync.join().expect("no panic").expect("a session");
    let expected = all_by_sync(&sync.notifier(), &theirs);

    on_both(|stage| {
        let notifier = AsyncNotifier::new();
        let (kernel, session) = begin(stage, builder(Nothing).notifier(notifier.clone()));
        for notifier in [notifier, session.notifier()] {
            stage.run(all(notifier)).expect("notifications");
            let got: Vec<_> = expected.iter().map(|_| kernel.receive()).collect();
            assert_eq!(got, expected);
        }
        end(stage, kernel, session);
    });
}

fn all_by_sync(notifier: &Notifier, kernel: &Kernel) -> Vec<tests::Reply> {
    let name = OsStr::new(NAME);
    let send = || {
        notifier.poll(PollHandle(11))?;
        notifier.inval_entry(INodeNo(1), name)?;
        notifier.expire_entry(INodeNo(1), name)?;
        notifier.inval_inode(INodeNo(2), 3, 4)?;
        notifier.store(INodeNo(2), 5, b"data")?;
        notifier.delete(INodeNo(1), INodeNo(2), name)?;
        notifier.resend()?;
        notifier.inc_epoch()?;
        notifier.prune(&[INodeNo(6), INodeNo(7)])
    };
    send().expect("notifications");
    (0..9).map(|_| kernel.receive()).collect()
}

async fn all(notifier: AsyncNotifier) -> io::Result<()> {
    let name = OsStr::new(NAME);
    notifier.poll(PollHandle(11))?;
    notifier.inval_entry(INodeNo(1), name).await?;
    notifier.expire_entry(INodeNo(1), name).await?;
    notifier.inval_inode(INodeNo(2), 3, 4).await?;
    notifier.store(INodeNo(2), 5, b"data".as_slice()).await?;
    notifier.delete(INodeNo(1), INodeNo(2), name).await?;
    notifier.resend().await?;
    notifier.inc_epoch().await?;
    notifier.prune([INodeNo(6), INodeNo(7)]).await
}

#[test]
fn a_notifier_without_a_session_says_so() {
    on_both(|stage| {
        let notifier = AsyncNotifier::new();
        let errno = |notifier: &AsyncNotifier| {
            let (one, other, third) = (notifier.clone(), notifier.clone(), notifier.clone());
            let errors = [
                stage.run(async move { one.inval_inode(INodeNo(1), 0, 0).await }),
                stage.run(async move { other.retrieve(INodeNo(1), 0, 1).await.map(drop) }),
                third.poll(PollHandle(1)),
            ];
            let errors = errors.map(|result| result.expect_err("no session").raw_os_error());
            assert_eq!(errors, [errors[0]; 3]);
            errors[0]
        };
        assert_eq!(errno(&notifier), Some(libc::ENOTCONN));
        assert_eq!(errno(&AsyncNotifier::current()), Some(libc::ENOTCONN));
        let (kernel, session) = begin(stage, builder(Nothing).notifier(notifier.clone()));
        let other = session.notifier();
        end(stage, kernel, session);
        assert_eq!(errno(&notifier), Some(libc::ENODEV));
        assert_eq!(errno(&other), Some(libc::ENODEV));
    });
}

const INVAL_INODE: i32 = 2;
const POLLED: i32 = 1;

/// What a method sends comes behind its answer, however it ends.
#[test]
fn a_notification_from_within_a_method_follows_its_answer() {
    on_both(|stage| {
        let notifier = AsyncNotifier::new();
        let inside = notifier.clone();
        let (filesystem, watch) = does(move |watch, op| {
            let notifier = inside.clone();
            Box::pin(async move {
                let Operation::Getattr(op) = op else { return at_once(&op) };
                notifier.inval_inode(op.ino, 1, 0).await?;
                if op.ino.0 == LATER {
                    tokio::task::yield_now().await;
                }
                AsyncNotifier::current().inval_inode(op.ino, 2, 0).await?;
                if op.ino.0 == 3 {
                    panic!("as it was told to");
                }
                // This one waits for nothing.
                notifier.poll(PollHandle(9))?;
                watch.note("answers");
                at_once(&Operation::Getattr(op))
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem).notifier(notifier));
        for ino in [READY, LATER, 3, READY] {
            let unique = kernel.send(GETATTR, ino, &[0; 16]);
            if ino != 3 {
                let first = kernel.receive();
                assert_eq!((first.unique, first.error), (0, POLLED));
            }
            expect(&kernel, unique, if ino == 3 { libc::EIO } else { libc::EDOM });
            for offset in [1, 2] {
                let notified = kernel.receive();
                assert_eq!((notified.unique, notified.error), (0, INVAL_INODE));
                assert_eq!(
                    notified.body[..16],
                    [ino.to_ne_bytes(), u64::to_ne_bytes(offset)].concat()
                );
            }
        }
        assert_eq!(watch.noted().len(), 3);
        end(stage, kernel, session);
    });
}

#[test]
fn a_notification_by_another_task_waits_for_no_method() {
    on_both(|stage| {
        let notifier = AsyncNotifier::new();
        let inside = notifier.clone();
        let (filesystem, watch) = does(move |watch, op| {
            let notifier = inside.clone();
            Box::pin(async move {
                if is_later(&op) {
                    let inside = watch.enter();
                    let ino = INodeNo(node(&op));
                    let task = async move { notifier.inval_inode(ino, 0, 0).await };
                    tokio::spawn(task).await.expect("no panic")?;
                    inside.leave();
                }
                at_once(&op)
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem).notifier(notifier));
        let unique = kernel.send(GETATTR, LATER, &[0; 16]);
        assert_eq!(kernel.receive().error, INVAL_INODE);
        expect(&kernel, unique, libc::EDOM);
        assert_eq!(watch.left(), 1);
        end(stage, kernel, session);
    });
}

/// Answers the retrieval that the session sends next with as many of these bytes as it asks for.
fn answer_retrieval(kernel: &Kernel, byte: u8) {
    let asked = kernel.receive();
    assert_eq!((asked.unique, asked.error), (0, RETRIEVE));
    let number = u64::from_ne_bytes(asked.body[..8].try_into().expect("eight bytes"));
    let (offset, size) = (&asked.body[16..24], words(&asked.body)[6]);
    let data = vec![byte; size as usize];
    let body = [&[0; 8][..], offset, &size.to_ne_bytes(), &[0; 20], &data].concat();
    kernel.send_bytes(&request(NOTIFY_REPLY, number, 7, 0, &body));
}

#[test]
fn a_retrieval_gets_its_data_within_a_method_too() {
    on_both(|stage| {
        let (filesystem, _) = does(|_, op| {
            Box::pin(async move {
                let Operation::Read(op) = op else { return at_once(&op) };
                let notifier = AsyncNotifier::current();
                let data = notifier.retrieve(op.ino, op.offset, op.size).await?;
                Ok(Reply::Data(data.into()))
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        let notifier = session.notifier();
        let waiting = stage.start(async move { notifier.retrieve(INodeNo(7), 100, 50).await });
        // One that nobody waits for, and one that is broken.
        kernel.send_bytes(&request(NOTIFY_REPLY, 4711, 7, 0, &[0; 40]));
        kernel.send_bytes(&request(
            NOTIFY_REPLY,
            0,
            7,
            0,
            &words_of(&[0, 0, 0, 0, 50, 0, 0, 0, 0, 0]),
        ));
        answer_retrieval(&kernel, b'a');
        assert_eq!(waiting.wait().expect("data"), [b'a'; 50]);

        let read = words_of(&[0, 0, 0, 0, 30_000, 0, 0, 0, 0, 0]);
        let unique = kernel.send(READ, 7, &read);
        answer_retrieval(&kernel, b'b');
        let reply = kernel.receive();
        assert_eq!((reply.unique, reply.error, reply.body), (unique, 0, vec![b'b'; 30_000]));
        end(stage, kernel, session);
    });
}

#[test]
fn retrievals_under_way_do_not_keep_a_session_alive() {
    // More than there are threads for.
    const RETRIEVALS: usize = 100;
    on_both(|stage| {
        let notifier = AsyncNotifier::new();
        let (kernel, session) = begin(stage, builder(Nothing).notifier(notifier.clone()));
        let waiting: Vec<_> = (0..RETRIEVALS)
            .map(|_| {
                let notifier = notifier.clone();
                stage.start(async move { notifier.retrieve(INodeNo(7), 0, 50).await })
            })
            .collect();
        kernel.receive();
        stage.run(session.unmount()).expect("a clean end");
        for retrieval in waiting {
            let error = retrieval.wait().expect_err("the session has ended");
            // The second is what a socket says that is closed before it is asked.
            let errnos = [libc::ENODEV, libc::EPIPE].map(Some);
            assert!(errnos.contains(&error.raw_os_error()), "{error}");
        }
    });
}
