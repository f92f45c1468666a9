use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_fuser::lib_async::*;
use async_fuser::{Errno, InitFlags, KernelConfig, Operations, Request};
use tests::Kernel;
use tests::opcode::*;

use crate::stage::*;

#[test]
fn every_minor_version_from_7_19_on_is_spoken() {
    on_both(|stage| {
        for minor in 19..=60 {
            let (kernel, session) = connect(stage, builder(Nothing));
            let reply = kernel.init(minor);
            assert_eq!(reply.error, 0, "7.{minor}");
            let answered = words(&reply.body);
            assert_eq!(answered[..2], [7, minor.min(45)], "7.{minor}: the version");
            assert_eq!(reply.body.len(), if minor < 23 { 24 } else { 64 }, "7.{minor}");
            let session = session.wait().expect("a session").spawn();
            assert_eq!(
                kernel.ask(GETATTR, 1, &[0; 16]).error,
                libc::ENOSYS,
                "7.{minor}: it serves"
            );
            end(stage, kernel, session);
        }
    });
}

#[test]
fn no_capability_is_answered_that_was_not_offered() {
    on_both(|stage| {
        for offered in [0, 1, 0x0000_ffff, 1 << 22, 0x00ff_0000, 0x8000] {
            for minor in [19, 22, 23, 35, 36, 45] {
                let (kernel, session) = connect(stage, builder(Wants::<2>));
                let reply = kernel.ask(INIT, 0, &Kernel::init_body(7, minor, offered, 0));
                let flags = words(&reply.body)[3];
                assert_eq!(flags & !offered, 0, "7.{minor}, offered {offered:#x}: {flags:#x}");
                end(stage, kernel, session.wait().expect("a session").spawn());
            }
        }
    });
}

#[test]
fn a_kernel_with_another_major_version_is_told_ours_and_begins_again() {
    on_both(|stage| {
        for major in [8, 9, u32::MAX] {
            let (kernel, session) = connect(stage, builder(Nothing));
            for _ in 0..2 {
                let reply = kernel.ask(INIT, 0, &Kernel::init_body(major, 1, 0, 0));
                assert_eq!((reply.error, words(&reply.body)[0]), (0, 7), "major {major}");
            }
            assert_eq!(words(&kernel.init(45).body)[..2], [7, 45]);
            end(stage, kernel, session.wait().expect("a session").spawn());
        }
    });
}

#[test]
fn a_kernel_that_is_too_old_is_refused_with_a_reason() {
    on_both(|stage| {
        for (major, minor) in [(7, 0), (7, 8), (7, 18), (6, 40), (0, 0)] {
            let (filesystem, watch) = waits();
            let (kernel, session) = connect(stage, builder(filesystem));
            let reply = kernel.ask(INIT, 0, &Kernel::init_body(major, minor, 0, 0));
            assert_eq!(reply.error, libc::EPROTO, "{major}.{minor}");
            let error = session.wait().expect_err("there is no session");
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            assert!(error.to_string().contains(&format!("{major}.{minor}")), "{error}");
            watch.wait_for_destroy();
            assert!(kernel.is_closed());
        }
    });
}

#[test]
fn an_init_cut_at_any_length_is_answered_and_never_a_panic() {
    on_both(|stage| {
        let body = Kernel::init_body(7, 45, u32::MAX, u32::MAX);
        for len in 0..=body.len() {
            let (kernel, session) = connect(stage, builder(Nothing));
            let reply = kernel.ask(INIT, 0, &body[..len]);
            if len >= 20 {
                assert_eq!(reply.error, 0, "{len} bytes");
                end(stage, kernel, session.wait().expect("a session").spawn());
            } else {
                assert_eq!(reply.error, libc::EIO, "{len} bytes");
                assert!(session.wait().is_err(), "{len} bytes");
            }
        }
    });
}

#[test]
fn what_comes_before_init_is_refused_and_init_still_works() {
    on_both(|stage| {
        let (kernel, session) = connect(stage, builder(Nothing));
        assert_eq!(kernel.ask(GETATTR, 1, &[0; 16]).error, libc::EIO);
        for opcode in [FORGET, BATCH_FORGET, INTERRUPT] {
            kernel.send(opcode, 1, &[0; 8]);
        }
        assert_eq!(kernel.ask(4711, 1, &[]).error, libc::EIO);
        assert_eq!(kernel.init(45).error, 0);
        end(stage, kernel, session.wait().expect("a session").spawn());
    });
}

#[test]
fn a_second_init_is_refused_and_the_session_goes_on() {
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Nothing));
        assert_eq!(kernel.init(45).error, libc::EIO);
        assert_eq!(kernel.ask(STATFS, 1, &[]).error, 0);
        end(stage, kernel, session);
    });
}

#[test]
fn a_connection_closed_before_init_is_an_error() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let (kernel, session) = connect(stage, builder(filesystem));
        drop(kernel);
        let error = session.wait().expect_err("there is no session");
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
        assert!(error.to_string().contains("unmounted"), "{error}");
        watch.wait_for_destroy();
    });
}

/// What the filesystem's `init` does.
#[derive(Clone, Copy)]
enum Init {
    Fails,
    FailsWithoutErrno,
    Panics,
    PanicsAtOnce,
    Waits,
    Yields,
}

struct Begins(Init, Arc<AtomicUsize>);

impl AsyncFilesystem for Begins {
    fn init(
        &mut self,
        _: &Request,
        _: &mut KernelConfig,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let init = self.0;
        assert!(!matches!(init, Init::PanicsAtOnce), "as it was told to");
        async move {
            match init {
                Init::Fails => return Err(io::Error::from_raw_os_error(libc::EDOM)),
                Init::FailsWithoutErrno => return Err(io::Error::other("no luck")),
                Init::Panics | Init::PanicsAtOnce => panic!("as it was told to"),
                Init::Waits => pending().await,
                Init::Yields => tokio::time::sleep(Duration::from_millis(1)).await,
            }
            Ok(())
        }
    }

    async fn destroy(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

fn begins(
    stage: &Stage,
    init: Init,
) -> (Kernel, Started<io::Result<AsyncSession<Begins>>>, Arc<AtomicUsize>) {
    let destroyed = Arc::default();
    let (kernel, session) = connect(stage, builder(Begins(init, Arc::clone(&destroyed))));
    (kernel, session, destroyed)
}

#[test]
fn an_init_that_fails_is_the_kernels_and_the_callers_error() {
    on_both(|stage| {
        let (kernel, session, destroyed) = begins(stage, Init::Fails);
        assert_eq!(kernel.init(45).error, libc::EDOM);
        let error = session.wait().expect_err("there is no session");
        assert_eq!(error.raw_os_error(), Some(libc::EDOM));
        assert_eq!(destroyed.load(Ordering::SeqCst), 1);
        assert!(kernel.is_closed());

        let (kernel, session, _) = begins(stage, Init::FailsWithoutErrno);
        assert_eq!(kernel.init(45).error, libc::EIO);
        assert_eq!(session.wait().expect_err("there is no session").to_string(), "no luck");
    });
}

#[test]
fn an_init_that_panics_is_an_error_and_not_a_panic() {
    on_both(|stage| {
        for init in [Init::Panics, Init::PanicsAtOnce] {
            let (kernel, session, destroyed) = begins(stage, init);
            assert_eq!(kernel.init(45).error, libc::EIO);
            let error = session.wait().expect_err("there is no session");
            assert!(error.to_string().contains("init panicked"), "{error}");
            assert_eq!(destroyed.load(Ordering::SeqCst), 1);
        }
    });
}

#[test]
fn an_init_may_wait() {
    on_both(|stage| {
        let (kernel, session, destroyed) = begins(stage, Init::Yields);
        assert_eq!(kernel.init(45).error, 0);
        end(stage, kernel, session.wait().expect("a session").spawn());
        assert_eq!(destroyed.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn an_init_that_is_no_longer_waited_for_is_refused() {
    on_both(|stage| {
        let destroyed = Arc::<AtomicUsize>::default();
        let (kernel, ours): (_, OwnedFd) = Kernel::connect();
        let session = builder(Begins(Init::Waits, destroyed.clone())).from_fd(ours);
        let session = stage.handle.spawn(session);
        let unique = kernel.send(INIT, 0, &Kernel::init_body(7, 45, 0, 0));
        assert_eq!(kernel.receive_within(50), None, "nothing is answered yet");
        session.abort();
        expect(&kernel, unique, libc::EIO);
        assert!(kernel.is_closed());
        let once = || destroyed.load(Ordering::SeqCst) == 1;
        tests::eventually(LIMIT, "it is destroyed", once);
    });
}

/// Filesystems that have locks and so on.
struct Wants<const SET: usize>;

const SETS: [Operations; 6] = [
    Operations::ALL,
    Operations::NONE,
    Operations::of(&["getlk", "setlk", "readdir", "readdirplus"]),
    Operations::of(&["setlk"]),
    Operations::of(&["getlk"]),
    Operations::of(&["readdirplus"]),
];

impl<const SET: usize> AsyncFilesystem for Wants<SET> {
    const OPERATIONS: Operations = SETS[SET];
}

#[test]
fn what_is_asked_of_the_kernel_follows_from_the_operations() {
    let posix = InitFlags::FUSE_POSIX_LOCKS;
    let flock = InitFlags::FUSE_FLOCK_LOCKS;
    let plus = InitFlags::FUSE_DO_READDIRPLUS | InitFlags::FUSE_READDIRPLUS_AUTO;
    let always = InitFlags::FUSE_PARALLEL_DIROPS | InitFlags::FUSE_ASYNC_DIO;
    on_both(|stage| {
        let asked = [
            asks(stage, Wants::<0>),
            asks(stage, Wants::<1>),
            asks(stage, Wants::<2>),
            asks(stage, Wants::<3>),
            asks(stage, Wants::<4>),
            asks(stage, Wants::<5>),
        ];
        let expected = [
            InitFlags::empty(),
            InitFlags::empty(),
            posix | flock | plus,
            flock,
            InitFlags::empty(),
            plus,
        ];
        for (set, (asked, expected)) in asked.into_iter().zip(expected).enumerate() {
            assert_eq!(asked & (posix | flock | plus), expected, "{:?}", SETS[set]);
            assert!(asked.contains(always), "{asked:?}");
        }
    });
}

fn asks<S: Serve>(stage: &Stage, filesystem: S) -> InitFlags {
    let (kernel, session) = connect(stage, builder(filesystem));
    let reply = kernel.init(45);
    end(stage, kernel, session.wait().expect("a session").spawn());
    InitFlags::from_bits_retain(words(&reply.body)[3].into())
}

#[test]
fn init_has_the_last_word() {
    struct Refuses;
    impl AsyncFilesystem for Refuses {
        const OPERATIONS: Operations = Operations::of(&["setlk", "readdirplus"]);

        async fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
            config.remove_capabilities(InitFlags::FUSE_FLOCK_LOCKS);
            config.set_max_background(7).expect("7 is possible");
            Ok(())
        }
    }
    on_both(|stage| {
        let (kernel, session) = connect(stage, builder(Refuses));
        let reply = words(&kernel.init(45).body);
        let flags = InitFlags::from_bits_retain(reply[3].into());
        assert!(!flags.contains(InitFlags::FUSE_FLOCK_LOCKS));
        assert!(flags.contains(InitFlags::FUSE_DO_READDIRPLUS));
        assert_eq!(reply[4] & 0xffff, 7);
        end(stage, kernel, session.wait().expect("a session").spawn());
    });
}

#[test]
fn the_kernel_may_send_1024_background_requests() {
    on_both(|stage| {
        let (kernel, session) = connect(stage, builder(Nothing));
        let reply = words(&kernel.init(45).body);
        assert_eq!((reply[4] & 0xffff, reply[4] >> 16), (1024, 768), "and is congested by 768");
        end(stage, kernel, session.wait().expect("a session").spawn());
    });
}

#[test]
fn the_kernels_timeout_is_in_whole_seconds() {
    const OFFERED: u32 = 1 << 10;
    let timeout = |stage: &Stage, limit: Option<Duration>, flags2: u32| {
        let builder = match limit {
            Some(limit) => builder(Nothing).kernel_timeout(limit),
            None => builder(Nothing),
        };
        let (kernel, session) = connect(stage, builder);
        let reply = kernel.ask(INIT, 0, &Kernel::init_body(7, 45, u32::MAX, flags2));
        let reply = words(&reply.body);
        end(stage, kernel, session.wait().expect("a session").spawn());
        (reply[8] & OFFERED != 0, reply[10] & 0xffff)
    };
    on_both(|stage| {
        let asked = |limit| timeout(stage, Some(limit), OFFERED);
        assert_eq!(asked(Duration::from_secs(9)), (true, 9));
        assert_eq!(asked(Duration::from_millis(8001)), (true, 9));
        assert_eq!(asked(Duration::from_nanos(1)), (true, 1));
        assert_eq!(asked(Duration::MAX), (false, 0), "what cannot be had");
        assert_eq!(timeout(stage, None, OFFERED), (false, 0));
        assert_eq!(timeout(stage, Some(Duration::from_secs(9)), 0), (false, 0), "not offered");
    });
}

#[test]
fn n_threads_of_zero_is_an_error() {
    on_both(|stage| {
        let mut config = config();
        config.n_threads = Some(0);
        let (kernel, session) = begin(stage, AsyncSessionBuilder::new(Nothing).config(&config));
        let error = stage.run(session.join()).expect_err("nobody serves");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("n_threads"), "{error}");
        assert!(kernel.is_closed());
    });
}

#[test]
fn more_readers_than_one_take_a_device_that_can_be_cloned() {
    on_both(|stage| {
        let (filesystem, watch) = waits();
        let mut config = config();
        config.n_threads = Some(3);
        let (kernel, session) = begin(stage, builder(filesystem).config(&config));
        let error = stage.run(session.join()).expect_err("a socket cannot be cloned");
        let text = error.to_string();
        assert!(text.contains("n_threads") && text.contains("/dev/fuse"), "{text}");
        assert!(kernel.is_closed());
        watch.wait_for_destroy();
    });
}

#[test]
fn a_notifier_is_of_one_session() {
    on_both(|stage| {
        let notifier = AsyncNotifier::new();
        let (kernel, session) = begin(stage, builder(Nothing).notifier(notifier.clone()));
        let (filesystem, watch) = waits();
        // Before there is a mount or an INIT.
        let (_other, refused) = connect(stage, builder(filesystem).notifier(notifier));
        let error = refused.wait().expect_err("it has a session");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        watch.wait_for_destroy();
        end(stage, kernel, session);
    });
}

#[test]
fn the_descriptor_is_the_sessions() {
    use std::os::fd::AsFd;

    on_both(|stage| {
        let (kernel, session) = prepare(stage, builder(Nothing));
        let copy = session.as_fd().try_clone_to_owned().expect("a copy");
        nix::unistd::write(&copy, &[16u32.to_ne_bytes(), [0; 4], [0; 4], [0; 4]].concat())
            .expect("a message");
        drop(copy);
        assert_eq!(kernel.receive().unique, 0);
        end(stage, kernel, session.spawn());
    });
}

#[test]
fn an_errno_becomes_what_the_kernel_takes() {
    let (filesystem, _) = does(|_, op| {
        Box::pin(async move {
            match op {
                Operation::Getattr(op) => Err(Errno::from_i32(op.ino.0 as i32)),
                op => at_once(&op),
            }
        })
    });
    let stage = Stage::new(Flavor::CurrentThread);
    let (kernel, session) = begin(&stage, builder(filesystem));
    for (errno, expected) in [(512, libc::EIO), (-5, libc::EIO), (0, libc::EIO), (511, 511), (1, 1)]
    {
        let reply = kernel.ask(GETATTR, errno as u64, &[0; 16]);
        assert_eq!(reply.error, expected, "errno {errno}");
    }
    end(&stage, kernel, session);
    stage.close();
}

use async_fuser::op::Operation;
