//! Guesses at what somebody meant to write.

/// The remedy for a word that is not among `known`: the nearest one if it is near, else all of them when
/// there are few.
#[must_use]
pub fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(candidate) => Some(format!("did you mean `{candidate}`?")),
        None if known.is_empty() || known.len() > LISTED => None,
        None => Some(format!("known here: {}", list(known))),
    }
}

/// The one of `known` that `word` was probably meant to be; none if all are too far from it.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A short word resembles everything.
    let near = if word.chars().count() <= 3 { 1 } else { 2 };
    known
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= 2 * near)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The words in backticks with commas between.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

/// Longer lists help nobody.
const LISTED: usize = 16;

/// Characters to insert, remove, replace or swap with their neighbour to turn one word into the other,
/// small and capital letters being alike.
/// SOURCE: optimal string alignment distance.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().flat_map(char::to_lowercase).collect();
    let other: Vec<char> = other.chars().flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, ch) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, wanted) in other.iter().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut least = (at(&above, column) + usize::from(ch != wanted))
                .min(at(&above, column + 1) + 1)
                .min(at(&current, column) + 1);
            let swapped = row > 0
                && column > 0
                && one.get(row - 1) == Some(wanted)
                && other.get(column - 1) == Some(ch);
            if swapped {
                least = least.min(at(&before, column - 1) + 1);
            }
            current.push(least);
        }
        before = above;
        above = current;
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_mistakes_are_near_and_other_words_are_not() {
        for (one, other, steps) in [
            ("", "", 0),
            ("publish", "publish", 0),
            ("Publish", "publish", 0),
            ("pubish", "publish", 1),
            ("publsih", "publish", 1),
            ("sensr", "sensor", 1),
            ("kitten", "sitting", 3),
            ("", "abc", 3),
        ] {
            assert_eq!(distance(one, other), steps, "{one} {other}");
        }
    }

    #[test]
    fn the_nearest_word_is_suggested_and_else_all_of_a_few() {
        let known = ["publish", "subscribe", "pubsub"];
        assert_eq!(suggestion("pubilsh", known).as_deref(), Some("did you mean `publish`?"));
        assert_eq!(suggestion("zzz", known).as_deref(), Some("known here: `publish`, `subscribe`, `pubsub`"));
        assert_eq!(suggestion("zzz", []), None);
    }
}
