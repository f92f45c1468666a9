//! What somebody may have meant.

/// The candidate that takes the fewest changes, if that are few enough for a slip of the hand.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = plain(word);
    let allowed = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Names in backquotes: `` `a`, `b` and `c` ``.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// The letters and digits: `getAttr` and `get_attr` are `getattr`.
fn plain(word: &str) -> Vec<char> {
    word.chars().filter(|char| *char != '_').flat_map(char::to_lowercase).collect()
}

/// How many letters have to be put in, taken out, replaced, or swapped with their neighbour.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut best = (row[j] + usize::from(a != b)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        (before, row) = (row, next);
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(one: &str, other: &str) -> usize {
        distance(&plain(one), &plain(other))
    }

    #[test]
    fn distances_count_each_kind_of_slip_once() {
        assert_eq!(of("lookup", "lookup"), 0);
        assert_eq!(of("lokup", "lookup"), 1);
        assert_eq!(of("loookup", "lookup"), 1);
        assert_eq!(of("lookyp", "lookup"), 1);
        assert_eq!(of("lookpu", "lookup"), 1);
        assert_eq!(of("", "abc"), 3);
        assert_eq!(of("abc", ""), 3);
        assert_eq!(of("get_attr", "getattr"), 0);
        assert_eq!(of("getAttr", "getattr"), 0);
    }

    #[test]
    fn what_is_too_far_is_not_suggested() {
        let names = ["lookup", "getattr", "read", "readdir"];
        assert_eq!(nearest("lokup", names), Some("lookup"));
        assert_eq!(nearest("raed", names), Some("read"));
        assert_eq!(nearest("reaaddir", names), Some("readdir"));
        assert_eq!(nearest("helper", names), None);
        assert_eq!(nearest("x", names), None);
        assert_eq!(nearest("", names), None);
    }

    #[test]
    fn lists_read_as_a_sentence() {
        assert_eq!(list([]), "nothing");
        assert_eq!(list(["a"]), "`a`");
        assert_eq!(list(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
