//! The protos' comments, as a document's texts.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FileDescriptor};

/// Every comment, by file and place.
#[derive(Debug, Default)]
pub(crate) struct Comments(HashMap<(String, Vec<i32>), String>);

/// A comment's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    /// The first sentence, without its full stop.
    pub(crate) summary: String,
    /// The rest, but for what it says of errors.
    pub(crate) description: String,
    /// What it says of errors: `NOT_FOUND`, and what stands in brackets behind it.
    pub(crate) errors: Vec<(String, String)>,
}

impl Comments {
    pub(crate) fn of(pool: &DescriptorPool) -> Self {
        let mut comments = HashMap::new();
        for file in pool.files() {
            let Some(info) = file.file_descriptor_proto().source_code_info.clone() else { continue };
            for location in info.location {
                if let Some(text) = location.leading_comments {
                    comments.insert((file.name().to_owned(), location.path), text);
                }
            }
        }
        Self(comments)
    }

    /// The comment at a place, its lines joined to paragraphs.
    pub(crate) fn at(&self, file: &FileDescriptor, path: &[i32]) -> String {
        let key = (file.name().to_owned(), path.to_vec());
        self.0.get(&key).map(|text| paragraphs(text)).unwrap_or_default()
    }

    /// The comment of a method, taken apart.
    pub(crate) fn text(&self, file: &FileDescriptor, path: &[i32]) -> Text {
        let all = self.at(file, path);
        let (errors, said): (Vec<&str>, Vec<&str>) =
            all.split("\n\n").partition(|paragraph| paragraph.starts_with("Errors"));
        let description = said.join("\n\n");
        let first = first_sentence(&description);
        let summary = first.trim_end_matches('.').to_owned();
        let description = description[first.len()..].trim_start().to_owned();
        let errors = errors.iter().flat_map(|paragraph| listed(paragraph)).collect();
        Text { summary, description, errors }
    }
}

fn paragraphs(text: &str) -> String {
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(|paragraph| {
            paragraph.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
        })
        .filter(|paragraph| !paragraph.is_empty())
        .collect();
    paragraphs.join("\n\n")
}

/// Up to the first full stop behind which something new begins.
pub(crate) fn first_sentence(text: &str) -> &str {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let ends = paragraph
        .match_indices(". ")
        .find(|(at, _)| paragraph[at + 2..].chars().next().is_some_and(|next| !next.is_lowercase()));
    match ends {
        Some((at, _)) => &paragraph[..=at],
        None => paragraph,
    }
}

/// gRPC's codes in a paragraph on errors, each with what stands in brackets behind it.
fn listed(paragraph: &str) -> Vec<(String, String)> {
    const CODES: &[&str] = &[
        "INVALID_ARGUMENT",
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "ABORTED",
        "FAILED_PRECONDITION",
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
    ];
    let mut found = Vec::new();
    let mut rest = paragraph;
    let is_name = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    while let Some(start) = rest.find(is_name) {
        let end = rest[start..].find(|letter| !is_name(letter)).map_or(rest.len(), |length| start + length);
        let name = &rest[start..end];
        rest = &rest[end..];
        if CODES.contains(&name) {
            let inner = bracketed(rest.trim_start()).unwrap_or_default();
            // What stands in brackets may name codes of its own, which are no statuses.
            if !inner.is_empty() {
                rest = &rest.trim_start()[inner.len() + 2..];
            }
            found.push((name.to_owned(), inner.to_owned()));
        }
    }
    found
}

/// What stands between the brackets that a text begins with.
fn bracketed(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth == 1 => return text.get(1..at),
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_ends_where_another_begins() {
        assert_eq!(
            first_sentence("The key (RFC 7517; of 1.5 kB). May be cached."),
            "The key (RFC 7517; of 1.5 kB)."
        );
        assert_eq!(first_sentence("One. \"Two\""), "One.");
        assert_eq!(first_sentence("One"), "One");
    }

    #[test]
    fn errors_are_listed_with_what_is_said_of_them() {
        let text = "Errors: INVALID_ARGUMENT (every field), RESOURCE_EXHAUSTED\n(TOO_MANY (really), BUSY), with RetryInfo, \
                    NOT_FOUND.";
        let found = listed(&paragraphs(text));
        let found: Vec<(&str, &str)> =
            found.iter().map(|(code, said)| (code.as_str(), said.as_str())).collect();
        assert_eq!(
            found,
            [
                ("INVALID_ARGUMENT", "every field"),
                ("RESOURCE_EXHAUSTED", "TOO_MANY (really), BUSY"),
                ("NOT_FOUND", "")
            ]
        );
    }
}
