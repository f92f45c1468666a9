use nix::unistd::geteuid;

use crate::mount::SessionACL;
use crate::op::Operation;
use crate::types::Request;

/// Who may use the filesystem.
///
/// The kernel knows "the owner alone" and "everybody"; "root and the owner" is decided here, and
/// so is "the owner alone" once more, for the processes the kernel lets past its own check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acl {
    acl: SessionACL,
    owner: u32,
}

impl Acl {
    /// The owner is the user this process acts as.
    pub(crate) fn new(acl: SessionACL) -> Self {
        Self { acl, owner: geteuid().as_raw() }
    }

    /// `req` is whose operation it is.
    #[inline]
    pub(crate) fn allows(self, req: &Request, operation: &Operation<'_>) -> bool {
        self.allows_user(req.uid()) || is_on_an_open_file(operation)
    }

    fn allows_user(self, uid: u32) -> bool {
        match self.acl {
            SessionACL::All => true,
            SessionACL::RootAndOwner => uid == self.owner || uid == 0,
            SessionACL::Owner => uid == self.owner,
        }
    }
}

/// Opening was allowed, and whoever has the descriptor now may go on. The kernel sends many of
/// these in nobody's name.
fn is_on_an_open_file(operation: &Operation<'_>) -> bool {
    matches!(
        operation,
        Operation::Forget(_)
            | Operation::BatchForget(_)
            | Operation::Read(_)
            | Operation::Write(_)
            | Operation::Flush(_)
            | Operation::Fsync(_)
            | Operation::Release(_)
            | Operation::Readdir(_)
            | Operation::Readdirplus(_)
            | Operation::Fsyncdir(_)
            | Operation::Releasedir(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_lets_the_right_users_in() {
        let allowed = |acl| [7, 0, 8].map(|uid| Acl { acl, owner: 7 }.allows_user(uid));
        assert_eq!(allowed(SessionACL::Owner), [true, false, false]);
        assert_eq!(allowed(SessionACL::RootAndOwner), [true, true, false]);
        assert_eq!(allowed(SessionACL::All), [true, true, true]);
    }
}
