//! From an operation to the method that serves it: the table, read once more.

use std::sync::Arc;

use crate::filesystem::Filesystem;
use crate::notifier::PollNotifier;
use crate::op::{self, Decode, Operation, for_each_operation};
use crate::reply::{self, Raw};
use crate::transport::Port;

macro_rules! sync_arms {
    ($($op:ident [$($code:tt)*] $method:ident $(via $sync:ident)?
        ($($arg:ident $(as $made:ident)?),*) $(-> $answer:ident)?;)*) => {
        /// Calls the method for `operation`, which answers by way of `port`, now or later.
        #[inline]
        pub(crate) fn dispatch<F: Filesystem>(fs: &F, operation: &Operation<'_>, port: &Arc<Port>) {
            match operation {
                $(Operation::$op(op) => {
                    let &op::$op { req, $($arg,)* .. } = op;
                    $($(let $arg = $made::new($arg, port);)?)*
                    sync_arms!(@call fs, $method $($sync)?, (req, $($arg,)*
                        $(reply::of::$answer::new(Raw::new(req, op.room(), port.clone())))?));
                })*
            }
        }
    };
    (@call $fs:ident, $method:ident, ($($arg:tt)*)) => { $fs.$method($($arg)*) };
    (@call $fs:ident, $method:ident $sync:ident, ($($arg:tt)*)) => { $fs.$sync($($arg)*) };
}
for_each_operation!(sync_arms);
