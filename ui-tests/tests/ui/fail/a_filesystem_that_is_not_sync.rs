use std::cell::Cell;

use async_fuser::Filesystem;

struct Counting(Cell<u64>);

impl Filesystem for Counting {}

fn main() {}
