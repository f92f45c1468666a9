use super::{Operation, for_each_operation};

/// A set of operations, named by their methods: which ones a filesystem implements.
///
/// What is not in it is answered without a call. A set that was made by name also says what to
/// agree on with the kernel: locks are asked for by a set that has `setlk`, and so on.
/// [`ALL`](Self::ALL), which a filesystem has that does not say, asks for nothing.
///
/// # Examples
///
/// ```
/// use async_fuser::Operations;
///
/// const SOME: Operations = Operations::of(&["lookup", "getattr", "read"]);
/// assert!(SOME.contains("read") && !SOME.contains("write"));
/// assert_eq!(SOME.names().count(), 3);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Operations {
    bits: u64,
    named: bool,
}

macro_rules! methods {
    ($($op:ident [$($code:tt)*] $method:ident $(via $sync:ident)? ($($arg:tt)*)
        $(-> $answer:ident)?;)*) => {
        /// Every method, in the order of the table.
        const METHODS: &[&str] = &[$(stringify!($method),)*];

        /// The number of each row.
        enum Row { $($op,)* }

        impl Operation<'_> {
            /// The operation's row in the table.
            #[inline]
            pub(crate) fn row(&self) -> usize {
                match self { $(Self::$op(_) => Row::$op as usize,)* }
            }
        }
    };
}
for_each_operation!(methods);

impl Operations {
    /// How many there are.
    pub(crate) const COUNT: usize = METHODS.len();

    /// All there are.
    pub const ALL: Self = Self { bits: (1 << METHODS.len()) - 1, named: false };

    /// None. [`with`](Self::with) adds one by name.
    pub const NONE: Self = Self { bits: 0, named: true };

    /// Those of these methods.
    ///
    /// # Panics
    ///
    /// If there is no operation of such a name; in a constant that is an error when compiling.
    pub const fn of(methods: &[&str]) -> Self {
        let mut set = Self::NONE;
        let mut at = 0;
        while at < methods.len() {
            set = set.with(methods[at]);
            at += 1;
        }
        set
    }

    /// These and one more; with `forget`, `batch_forget` too.
    ///
    /// # Panics
    ///
    /// As [`of`](Self::of).
    #[must_use]
    pub const fn with(self, method: &str) -> Self {
        match row(method) {
            Some(row) => Self { bits: self.bits | 1 << row | implied(row), ..self },
            None => panic!("there is no operation of that name"),
        }
    }

    /// Whether the operation of this method is in the set.
    pub const fn contains(self, method: &str) -> bool {
        match row(method) {
            Some(row) => self.bits & 1 << row != 0,
            None => false,
        }
    }

    /// The methods in the set, in the order of the table of operations.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let is_in = move |row: usize| self.bits & 1 << row != 0;
        METHODS.iter().enumerate().filter(move |(row, _)| is_in(*row)).map(|(_, name)| *name)
    }

    /// Whether it was made by name, and so says what to ask the kernel for.
    #[cfg_attr(target_os = "macos", allow(dead_code, reason = "it has nothing to ask for"))]
    pub(crate) fn is_named(self) -> bool {
        self.named
    }

    /// The method of a row.
    #[cfg(feature = "async")]
    pub(crate) fn method(row: usize) -> &'static str {
        METHODS[row]
    }

    #[inline]
    pub(crate) fn has(self, operation: &Operation<'_>) -> bool {
        self.bits & 1 << operation.row() != 0
    }
}

/// Whoever forgets one forgets many.
const fn implied(row: usize) -> u64 {
    if row == Row::Forget as usize { 1 << Row::BatchForget as usize } else { 0 }
}

/// The row of a method, in a form that constants can use.
pub(crate) const fn row(method: &str) -> Option<usize> {
    let mut row = 0;
    while row < METHODS.len() {
        if is_same(METHODS[row].as_bytes(), method.as_bytes()) {
            return Some(row);
        }
        row += 1;
    }
    None
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_named_and_nothing_else() {
        let set = Operations::of(&["read", "lookup"]);
        assert_eq!(set.names().collect::<Vec<_>>(), ["lookup", "read"]);
        assert!(set.contains("read") && !set.contains("readdir") && !set.contains("rea"));
        assert_eq!(set, Operations::NONE.with("lookup").with("read").with("read"));
    }

    #[test]
    fn all_are_as_many_as_there_are_rows() {
        assert_eq!(Operations::ALL.names().count(), METHODS.len());
        assert!(METHODS.iter().all(|method| Operations::ALL.contains(method)));
        assert_eq!(Operations::NONE.names().count(), 0);
    }

    #[test]
    #[should_panic(expected = "no operation of that name")]
    fn a_name_that_is_none_is_refused() {
        let _set = Operations::of(&["lookup", "lokup"]);
    }
}
