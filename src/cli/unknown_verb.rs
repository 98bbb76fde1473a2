//! What to type instead of a verb that is not there.

use clap::{
    Command, Error,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// What people say, and the verbs that do it here; the likeliest first.
const SYNONYMS: [(&[&str], &[&str]); 7] = [
    (&["create", "new", "make", "register"], &["add", "issue", "init", "generate"]),
    (&["remove", "delete", "rm", "del"], &["retire", "edit", "revoke"]),
    (&["revoke", "block", "ban", "lock"], &["disable", "retire", "revoke"]),
    (&["unblock", "unlock"], &["enable"]),
    (&["update", "change", "modify"], &["set", "edit", "renew"]),
    (&["ls"], &["list"]),
    (&["info", "inspect"], &["show"]),
];

/// Puts the verbs that were probably meant in the place of those that only look alike. Other errors stay as they are.
pub(super) fn with_tip(mut error: Error, command: &Command) -> Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    // The line of usage says in which group the word was looked for.
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let group = usage.split_whitespace().find_map(|part| command.find_subcommand(part));
    let tips: Vec<StyledStr> = meant(command, group, word).into_iter().map(StyledStr::from).collect();
    if !tips.is_empty() {
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// What the group does under another name, and the verbs of that name in other groups.
fn meant(command: &Command, group: Option<&Command>, word: &str) -> Vec<String> {
    let others = SYNONYMS.iter().filter(|(words, _)| words.contains(&word)).flat_map(|(_, verbs)| *verbs);
    let under_another =
        |group| others.clone().filter_map(|verb| tip(command, group, verb)).collect::<Vec<_>>();
    let groups = || command.get_subcommands().filter(|group| group.has_subcommands());
    let mut tips = group.map(under_another).unwrap_or_default();
    tips.extend(groups().filter_map(|group| tip(command, group, word)));
    if tips.is_empty() {
        tips = groups().map(under_another).find(|tips| !tips.is_empty()).unwrap_or_default();
    }
    tips
}

fn tip(command: &Command, group: &Command, verb: &str) -> Option<String> {
    let about = group.find_subcommand(verb)?.get_about().map(ToString::to_string).unwrap_or_default();
    Some(format!("`{} {} {verb}`: {about}", command.get_name(), group.get_name()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::Arguments;

    fn told(line: &str) -> String {
        let mut command = Arguments::command();
        let error = command.try_get_matches_from_mut(line.split(' ')).err();
        error.map(|error| with_tip(error, &command).to_string()).unwrap_or_default()
    }

    #[test]
    fn a_verb_of_another_name_or_group_is_found() {
        for (line, tips) in [
            ("citronella device remove x", &["citronella device retire", "citronella device edit"][..]),
            (
                "citronella device revoke x",
                &["citronella device disable", "citronella device retire", "citronella cert revoke"],
            ),
            ("citronella cert create x", &["citronella cert issue"]),
            ("citronella ca new", &["citronella ca init"]),
            ("citronella list", &["citronella device list", "citronella cert list"]),
            ("citronella add x", &["citronella device add"]),
            ("citronella --format json delete x", &["citronella device retire", "citronella device edit"]),
        ] {
            let told = told(line);
            let found: Vec<&str> = told.lines().filter_map(|line| line.split('`').nth(1)).collect();
            assert_eq!(found, tips, "{line}: {told}");
        }
    }

    #[test]
    fn a_slip_is_told_as_before() {
        let told = told("citronella devise list");
        assert!(told.contains("'device'"), "{told}");
    }
}
