use std::fmt;
use std::time::Duration;

use crate::op::Opcode;
use crate::types::{INodeNo, RequestId};

/// A request that was read and has not been answered: what somebody is waiting for.
#[derive(Clone, Debug)]
pub struct InFlight {
    pub(super) unique: u64,
    pub(super) opcode: Opcode,
    pub(super) ino: u64,
    pub(super) pid: u32,
    pub(super) age: Duration,
    pub(super) interrupted: bool,
}

impl InFlight {
    /// The request's number.
    pub fn unique(&self) -> RequestId {
        RequestId(self.unique)
    }

    /// What is asked.
    pub fn operation(&self) -> Opcode {
        self.opcode
    }

    /// The inode that is asked about.
    pub fn ino(&self) -> INodeNo {
        INodeNo(self.ino)
    }

    /// The thread that waits, or 0 if there is none.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// For how long it has been served, to a few milliseconds.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// Whether its caller got a signal and would rather not wait.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }
}

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { opcode, ino, pid, age, .. } = self;
        write!(f, "{opcode:?} of inode {ino} for thread {pid}, {age:.1?}")?;
        if self.interrupted { f.write_str(", interrupted") } else { Ok(()) }
    }
}
