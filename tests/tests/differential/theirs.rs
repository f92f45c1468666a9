//! The subject, compiled against fuser.

pub(crate) use ::fuser;

pub(crate) const NAME: &str = "fuser";

#[path = "experimental.rs"]
mod experimental;
#[path = "program_018.rs"]
mod program_018;
#[path = "state.rs"]
mod state;
#[path = "subject.rs"]
mod subject;

pub(crate) use subject::SIDE;
