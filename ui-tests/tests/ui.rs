//! Runs the programs in `ui`: those that use the traits, and those of the attribute macro.

#[test]
fn programs_compile_or_say_why_not() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
    cases.pass("tests/ui/macro/pass/*.rs");
    cases.compile_fail("tests/ui/macro/fail/*.rs");
}
