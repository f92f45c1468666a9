use std::future::{Future, pending};
use std::io;

use async_fuser::lib_async::*;
use async_fuser::op::Operation;
use async_fuser::{KernelConfig, Request};
use tests::opcode::*;

use crate::stage::*;

/// Panics in every method but `statfs`.
fn panics(
    when: impl for<'a> Fn(&'a Watch, Operation<'a>) -> Answer<'a> + Send + Sync + 'static,
) -> (impl Serve, Watch) {
    does(move |watch, op| match op {
        Operation::Statfs(_) => Box::pin(async move { at_once(&op) }),
        op => when(watch, op),
    })
}

fn every_method_is_eio(filesystem: impl Serve) {
    let stage = Stage::new(Flavor::MultiThread);
    let (kernel, session) = begin(&stage, builder(filesystem));
    for &opcode in ANSWERED.iter().filter(|&&opcode| opcode != STATFS) {
        for body in [valid(opcode), vec![0; 9000]] {
            let unique = kernel.send(opcode, READY, &body);
            let reply = kernel.receive();
            assert_eq!((reply.unique, reply.error), (unique, libc::EIO), "opcode {opcode}");
        }
    }
    kernel.send(FORGET, READY, &[0; 8]);
    kernel.send(BATCH_FORGET, READY, &words_of(&[0, 0]));
    expect_silence(&kernel);
    end(&stage, kernel, session);
    stage.close();
}

#[test]
fn a_panic_before_there_is_a_future_is_eio() {
    every_method_is_eio(panics(|_, _| panic!("as it was told to")).0);
}

#[test]
fn a_panic_on_the_first_poll_is_eio() {
    every_method_is_eio(panics(|_, _| Box::pin(async { panic!("as it was told to") })).0);
}

#[test]
fn a_panic_after_waiting_is_eio() {
    let (filesystem, _) = panics(|_, _| {
        Box::pin(async {
            tokio::task::yield_now().await;
            panic!("as it was told to")
        })
    });
    every_method_is_eio(filesystem);
}

/// Panics when it is dropped, unless that would end the process.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "as it was told to");
    }
}

#[test]
fn a_future_that_panics_while_it_is_dropped_is_answered_once() {
    on_both(|stage| {
        let (filesystem, watch) = panics(|watch, _| {
            Box::pin(async move {
                let _inside = watch.enter();
                let _panics = PanicsInDrop;
                pending().await
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        for done in 1..=20 {
            let unique = kernel.send(READ, LATER, &[0; 40]);
            watch.wait_for_entered(done);
            interrupt(&kernel, unique);
            let reply = kernel.receive();
            assert_eq!(reply.unique, unique);
            assert!([libc::EIO, libc::EINTR].contains(&reply.error), "{reply:?}");
            expect_silence(&kernel);
            watch.wait_for_dropped(done);
        }
        end(stage, kernel, session);
        watch.wait_for_destroy();
    });
}

#[test]
fn a_panic_while_an_answer_is_made_is_eio() {
    struct Wrong;
    impl Serve for Wrong {
        async fn init(&mut self, _: &Request, _: &mut KernelConfig) -> io::Result<()> {
            Ok(())
        }

        async fn serve<'a>(&'a self, operation: Operation<'a>) -> Result<Reply<'a>> {
            match operation {
                // More than there are bytes.
                Operation::Read(op) => Ok(Reply::Data(ReadBuffer::new(&op).filled(1000))),
                op => at_once(&op),
            }
        }

        async fn destroy(&mut self) {}
    }
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Wrong));
        for _ in 0..3 {
            assert_eq!(kernel.ask(READ, READY, &[0; 40]).error, libc::EIO);
            expect_silence(&kernel);
        }
        end(stage, kernel, session);
    });
}

enum Destroy {
    AtOnce,
    First,
    Later,
}

struct PanicsInDestroy(Destroy, Watch);

impl AsyncFilesystem for PanicsInDestroy {
    fn destroy(&mut self) -> impl Future<Output = ()> + Send {
        self.1.note("destroy");
        assert!(!matches!(self.0, Destroy::AtOnce), "as it was told to");
        let later = matches!(self.0, Destroy::Later);
        async move {
            if later {
                tokio::task::yield_now().await;
            }
            panic!("as it was told to");
        }
    }
}

#[test]
fn a_panic_in_destroy_is_the_filesystems_alone() {
    on_both(|stage| {
        for destroy in [Destroy::AtOnce, Destroy::First, Destroy::Later] {
            let watch = Watch::default();
            let filesystem = PanicsInDestroy(destroy, watch.clone());
            let (kernel, session) = begin(stage, builder(filesystem));
            expect_silence(&kernel);
            end(stage, kernel, session);
            assert_eq!(watch.noted(), ["destroy"]);
        }
    });
}

#[test]
fn a_panic_in_destroy_of_a_session_that_is_dropped_is_caught() {
    on_both(|stage| {
        for destroy in [Destroy::AtOnce, Destroy::First] {
            let watch = Watch::default();
            let filesystem = PanicsInDestroy(destroy, watch.clone());
            let (kernel, session) = prepare(stage, builder(filesystem));
            drop(session);
            assert!(kernel.is_closed());
            assert_eq!(watch.noted(), ["destroy"]);
        }
    });
}
