//! Programs that must compile, and programs that must not, with what the compiler says of them.
//!
//! `tests/ui/fail` holds one mistake a file. To accept new words of the compiler, run
//! `TRYBUILD=overwrite cargo test -p ui-tests` and read the difference.
