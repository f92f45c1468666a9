//! Programs that clippy looks at, too: trybuild does not ask it.

#[allow(dead_code, unreachable_pub, reason = "it is a program")]
#[path = "ui/macro/pass/strict_lints.rs"]
mod strict_lints;

#[test]
fn the_strict_program_is_a_filesystem() {
    let set = <strict_lints::Files as async_fuser::AsyncFilesystem>::OPERATIONS;
    assert!(set.contains("read") && !set.contains("write"));
}
