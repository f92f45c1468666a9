//! The subject, compiled against async-fuser.

pub(crate) use async_fuser as fuser;

pub(crate) const NAME: &str = "async-fuser";

#[path = "experimental.rs"]
mod experimental;
#[path = "program_018.rs"]
mod program_018;
#[path = "state.rs"]
mod state;
#[path = "subject.rs"]
mod subject;

pub(crate) use subject::SIDE;
