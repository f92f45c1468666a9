//! The attribute macro of `async-fuser`, which describes it and is where to get it from.

mod args;
mod block;
mod errors;
mod expand;
mod method;
mod nearest;
mod operations;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

// The chapter on it is where it is exported to users, so that its examples are run.
#[allow(missing_docs, reason = "`async_fuser::fuse_filesystem` has them")]
#[proc_macro_attribute]
pub fn fuse_filesystem(args: TokenStream, block: TokenStream) -> TokenStream {
    expand::expand(args.into(), block.into()).into()
}

/// The operations that the attribute knows, for the test that compares them with the runtime's.
#[doc(hidden)]
#[proc_macro]
pub fn __operations(_: TokenStream) -> TokenStream {
    operations::listing().into()
}
