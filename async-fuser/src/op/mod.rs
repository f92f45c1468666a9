//! The operations of FUSE: what the kernel asks, as plain structs.
//!
//! [`Operation`] lists them all. Each struct carries its caller in `req` and its arguments under
//! the names that the methods of [`Filesystem`](crate::Filesystem) use.

mod attr;
mod control;
mod dir;
mod file;
mod lock;
mod namespace;
#[cfg_attr(
    not(feature = "async"),
    allow(dead_code, reason = "only that engine asks what is in it")
)]
mod set;
mod table;
#[cfg(test)]
mod tests;
mod xattr;

pub use attr::*;
pub use control::*;
pub use dir::*;
pub use file::*;
pub use lock::*;
pub use namespace::*;
pub use set::Operations;
#[cfg(feature = "async")]
pub(crate) use set::row;
pub use xattr::*;

pub(crate) use table::{for_each_operation, for_each_operation_anywhere, rows};

use std::fmt;

use table::for_each_control;

use crate::types::Request;
pub use crate::wire::{Args, DecodeError, Dialect};

/// Reads one operation out of a request.
pub(crate) trait Decode<'a>: Sized {
    fn decode(args: Args<'a>) -> Result<Self, DecodeError>;

    /// How many bytes of data the caller has room for, where it says so.
    fn room(&self) -> u32 {
        u32::MAX
    }
}

/// An operation code, as the kernel numbers it.
///
/// A number this crate has no name for is still an `Opcode`.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Opcode(pub u32);

/// Declares operations: the struct, and how it is decoded.
///
/// Every struct borrows the request it came in, and begins with `req`.
macro_rules! operations {
    ($($(#[$meta:meta])* struct $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty,)*
    } $(room $room:ident)? decode($req:ident, $args:ident) $body:block)*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        #[non_exhaustive]
        pub struct $name<'a> {
            /// Who asks.
            pub req: &'a $crate::types::Request,
            $($(#[$field_meta])* pub $field: $type,)*
        }

        #[cfg(test)]
        impl $name<'_> {
            #[allow(dead_code, reason = "those of operations are asked for")]
            pub(crate) const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];
        }

        impl<'a> $crate::op::Decode<'a> for $name<'a> {
            #[allow(unused_mut, reason = "an operation without arguments reads none")]
            fn decode(mut $args: $crate::wire::Args<'a>) -> Result<Self, $crate::wire::DecodeError> {
                let $req = $args.req();
                Ok($body)
            }

            $(fn room(&self) -> u32 {
                self.$room
            })?
        }
    )* };
}
use operations;

macro_rules! opcodes {
    ($($op:ident [$($code:ident = $number:literal since $since:literal),+]
        $method:ident $(via $sync:ident)? ($($arg:tt)*) $(-> $answer:ident)?;)*) => {
        opcodes!(@names OPERATIONS $($($code = $number since $since)+)*);
    };
    ($($op:ident [$($code:ident = $number:literal since $since:literal),+];)*) => {
        opcodes!(@names CONTROLS $($($code = $number since $since)+)*);
    };
    (@names $list:ident $($code:ident = $number:literal since $since:literal)*) => {
        impl Opcode {
            $(
                #[doc = concat!("`FUSE_", stringify!($code), "`, since ABI 7.", $since, ".")]
                pub const $code: Self = Self($number);
            )*

            const $list: &[(Self, &str)] = &[$((Self::$code, stringify!($code)),)*];
        }
    };
}
for_each_operation_anywhere!(opcodes);
for_each_control!(opcodes);

macro_rules! operation {
    ($($op:ident [$($code:ident = $number:literal since $since:literal),+]
        $method:ident $(via $sync:ident)? ($($arg:tt)*) $(-> $answer:ident)?;)*) => {
        /// One decoded operation.
        ///
        /// | operation | method | kernel | since | answer |
        /// |-----------|--------|--------|-------|--------|
        $(#[doc = concat!(
            "| [`", stringify!($op), "`] | `", stringify!($method), "` | ",
            $("`", stringify!($code), "` ",)+ "| ", $("7.", $since, " ",)+ "| ",
            $("`", stringify!($answer), "`",)? " |"
        )])*
        #[derive(Clone, Copy, Debug)]
        #[non_exhaustive]
        pub enum Operation<'a> { $(
            #[doc = concat!("See [`", stringify!($op), "`].")]
            $op($op<'a>),
        )* }

        impl<'a> Operation<'a> {
            /// Decodes a request.
            pub fn decode(args: Args<'a>) -> Result<Self, DecodeError> {
                Ok(match Opcode(args.req().opcode()) {
                    $($(Opcode::$code)|+ => Self::$op(Decode::decode(args)?),)*
                    _ => return Err(DecodeError::Unknown),
                })
            }

            /// Who asks.
            pub fn req(&self) -> &'a Request {
                match self { $(Self::$op(op) => op.req,)* }
            }

            /// How many bytes of data the caller has room for; `u32::MAX` where it does not say.
            #[cfg(feature = "async")]
            #[inline]
            pub(crate) fn room(&self) -> u32 {
                match self { $(Self::$op(op) => op.room(),)* }
            }

            /// The name of the method that serves it.
            pub fn method(&self) -> &'static str {
                match self { $(Self::$op(_) => stringify!($method),)* }
            }
        }
    };
}
for_each_operation!(operation);

macro_rules! control {
    ($($op:ident [$($code:ident = $number:literal since $since:literal),+];)*) => {
        /// One decoded message that concerns the session, not the filesystem.
        ///
        /// | message | kernel | since |
        /// |---------|--------|-------|
        $(#[doc = concat!("| [`", stringify!($op), "`] | ", $("`", stringify!($code), "` ",)+
            "| ", $("7.", $since, " ",)+ "|")])*
        #[derive(Clone, Copy, Debug)]
        #[non_exhaustive]
        pub enum Control<'a> { $(
            #[doc = concat!("See [`", stringify!($op), "`].")]
            $op($op<'a>),
        )* }

        impl<'a> Control<'a> {
            /// Decodes a message.
            pub fn decode(args: Args<'a>) -> Result<Self, DecodeError> {
                Ok(match Opcode(args.req().opcode()) {
                    $($(Opcode::$code)|+ => Self::$op(Decode::decode(args)?),)*
                    _ => return Err(DecodeError::Unknown),
                })
            }
        }
    };
}
for_each_control!(control);

impl Opcode {
    /// Whether the kernel expects an answer. It never reads one for these, not even an error.
    pub(crate) fn is_answered(self) -> bool {
        !matches!(self, Self::FORGET | Self::BATCH_FORGET | Self::INTERRUPT | Self::NOTIFY_REPLY)
    }
}

impl fmt::Debug for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::OPERATIONS.iter().chain(Self::CONTROLS).find(|(code, _)| code == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "OPCODE_{}", self.0),
        }
    }
}
