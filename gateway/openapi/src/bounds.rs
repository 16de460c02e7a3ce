//! The bounds that a field's comment states, read by a small grammar (ADR 34): what the comment does not say in one of these
//! ways is not in the document.
//!
//! | in the comment | of | means |
//! |---|---|---|
//! | `30 to 300`, `−20 to 50`, `1,000` | numbers | minimum and maximum; with `0 where`, `or 0` or `0 removes` also 0 |
//! | `0 or more` | numbers | minimum |
//! | `1 to 100 characters`, `at most 100 characters` | strings | lengths |
//! | `1 to 1,000 readings`, `At most 50`, `20 at most`, `Exactly 2` | lists | how many |
//! | `each 1 to 60 characters`, `each once` | lists | of the elements |
//! | a regular expression in backticks, `^…$` | strings | pattern |
//! | `(UUID)`, `YYYY-MM-DD`, `HH:MM`, `"evt_" and 32 hexadecimal digits` | strings | format or pattern |
//! | `an e-mail address` | strings of requests | format |
//! | `DOG or CAT.`, `"DOG" or "CAT".`, `"Point", or empty.` at the beginning | enums, strings | these alone |
//! | `Exactly one of the two` | fields | either this or the field before it |
//! | `empty`, `Empty` | strings | may be empty all the same |
//! | `absent`, `Absent` | times of answers | is not always there (`schema.rs`)
//! | `required`, `Required` | requests | must be there |

use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use regex::Regex;

/// What a comment states.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) minimum: Option<f64>,
    pub(crate) maximum: Option<f64>,
    /// Where 0 may be as well: the least besides.
    pub(crate) least_but_zero: Option<f64>,
    pub(crate) min_length: Option<i64>,
    pub(crate) max_length: Option<i64>,
    pub(crate) min_items: Option<i64>,
    pub(crate) max_items: Option<i64>,
    pub(crate) unique: bool,
    pub(crate) pattern: Option<String>,
    pub(crate) format: Option<&'static str>,
    pub(crate) values: Vec<String>,
    pub(crate) may_be_empty: bool,
    pub(crate) required: bool,
    /// Excludes the field before it; one of the two is there.
    pub(crate) either: bool,
}

/// What kind of field a comment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Number,
    Text,
    Other,
}

const NUMBER: &str = r"([-−]?\d[\d,]*(?:\.\d+)?)";
const HOUR: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$";

static RANGE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!("{NUMBER} to {NUMBER}( characters)?")).ok());
static OR_MORE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!(r"\b{NUMBER} or more")).ok());
static AT_MOST: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b[Aa]t most (\d[\d,]*)( characters)?\b|\b(\d[\d,]*) at most").ok());
static EXACTLY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b[Ee]xactly (\d+)\b").ok());
static BRACKETS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\([^()]*\)").ok());
static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"`(\^[^`]*\$)`").ok());
static DIGITS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#""([a-z]+_)" and (\d+) hexadecimal digits"#).ok());
static NAMES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[A-Z][A-Z_]+(?:, [A-Z][A-Z_]+)*(?:,? or [A-Z][A-Z_]+)[.:,;]").ok());
static QUOTED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"^"[^"]+"(?:, "[^"]+")*,? or (?:"[^"]+"|empty)\."#).ok());
static ZERO_TOO: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\bor 0\b|\b0 (?:where|removes)").ok());

/// Reads a comment.
pub(crate) fn of(comment: &str, of: Of, is_list: bool) -> Result<Bounds> {
    let mut bounds = Bounds {
        required: comment.contains("equired"),
        may_be_empty: comment.contains("mpty"),
        either: comment.contains("xactly one of the two"),
        ..Bounds::default()
    };
    let plain = regex(&BRACKETS)?.replace_all(comment, "").into_owned();
    let (own, each) = match plain.split_once("each ") {
        Some((own, each)) if is_list => (own, each),
        _ if is_list => (plain.as_str(), ""),
        _ => ("", plain.as_str()),
    };
    if is_list {
        items(own, &mut bounds)?;
        bounds.unique = each.starts_with("once");
    }
    match of {
        Of::Number => number(each, &mut bounds)?,
        Of::Text => text(each, if is_list { "" } else { comment }, &mut bounds)?,
        Of::Other if regex(&NAMES)?.is_match(comment) => {
            bounds.values = first_list(comment).split(' ').filter_map(name).collect();
        }
        Of::Other => {}
    }
    Ok(bounds)
}

fn items(comment: &str, bounds: &mut Bounds) -> Result<()> {
    if let Some(found) = regex(&EXACTLY)?.captures(comment) {
        bounds.min_items = Some(whole(&found[1])?);
        bounds.max_items = bounds.min_items;
    } else if let Some(found) = regex(&RANGE)?.captures(comment).filter(|found| found.get(3).is_none()) {
        bounds.min_items = Some(whole(&found[1])?);
        bounds.max_items = Some(whole(&found[2])?);
    } else if let Some(found) = regex(&AT_MOST)?.captures(comment)
        && found.get(2).is_none()
        && let Some(most) = found.get(1).or_else(|| found.get(3))
    {
        bounds.max_items = Some(whole(most.as_str())?);
    }
    Ok(())
}

fn number(comment: &str, bounds: &mut Bounds) -> Result<()> {
    if let Some(found) = regex(&RANGE)?.captures(comment) {
        bounds.minimum = Some(float(&found[1])?);
        bounds.maximum = Some(float(&found[2])?);
    } else if let Some(found) = regex(&OR_MORE)?.captures(comment) {
        bounds.minimum = Some(float(&found[1])?);
    }
    if regex(&ZERO_TOO)?.is_match(comment) {
        bounds.least_but_zero = bounds.minimum.filter(|minimum| *minimum > 0.0);
        bounds.minimum = bounds.minimum.map(|minimum| minimum.min(0.0));
    }
    Ok(())
}

fn text(plain: &str, comment: &str, bounds: &mut Bounds) -> Result<()> {
    if let Some(found) = regex(&RANGE)?.captures(plain).filter(|found| found.get(3).is_some()) {
        bounds.min_length = Some(whole(&found[1])?);
        bounds.max_length = Some(whole(&found[2])?);
    } else if let Some(found) = regex(&AT_MOST)?.captures(plain).filter(|found| found.get(2).is_some()) {
        bounds.max_length = Some(whole(&found[1])?);
    }
    if regex(&QUOTED)?.is_match(comment) {
        let list = first_list(comment);
        bounds.values = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        if list.ends_with("or empty") {
            bounds.values.push(String::new());
        }
    } else if let Some(found) = regex(&PATTERN)?.captures(comment) {
        bounds.pattern = Some(found[1].to_owned());
    } else if let Some(found) = regex(&DIGITS)?.captures(comment) {
        bounds.pattern = Some(format!("^{}[0-9a-f]{{{}}}$", &found[1], &found[2]));
    } else if comment.contains("(UUID)") {
        bounds.format = Some("uuid");
    } else if comment.contains("e-mail address") {
        bounds.format = Some("email");
    } else if comment.contains("YYYY-MM-DD") {
        bounds.format = Some("date");
    } else if comment.contains("HH:MM") {
        bounds.pattern = Some(HOUR.to_owned());
    }
    Ok(())
}

/// The list of names that a comment begins with.
fn first_list(comment: &str) -> &str {
    comment.find(['.', ':', ';']).map_or(comment, |end| &comment[..end])
}

fn name(word: &str) -> Option<String> {
    let word = word.trim_matches(',');
    (word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
        .then(|| word.to_owned())
}

fn regex(regex: &'static LazyLock<Option<Regex>>) -> Result<&'static Regex> {
    regex.as_ref().context("an expression of the grammar is none")
}

fn float(text: &str) -> Result<f64> {
    text.replace('−', "-").replace(',', "").parse().with_context(|| text.to_owned())
}

fn whole(text: &str) -> Result<i64> {
    text.replace(',', "").parse().with_context(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(comment: &str, kind: Of, is_list: bool) -> Bounds {
        of(comment, kind, is_list).unwrap()
    }

    #[test]
    fn numbers() {
        for (comment, minimum, maximum) in [
            ("Heart rate, beats per minute, 30 to 300.", Some(30.0), Some(300.0)),
            ("Skin temperature, °C, −20 to 50.", Some(-20.0), Some(50.0)),
            ("Degrees, -90 to 90; with longitude.", Some(-90.0), Some(90.0)),
            ("1 to 1,000; 50 where absent or 0.", Some(0.0), Some(1000.0)),
            ("kg, 0.05 to 150.", Some(0.05), Some(150.0)),
            ("The collar's own count, 0 or more.", Some(0.0), None),
            ("Activity level: 0 rest, 1 moderate, 2 high.", None, None),
            ("New label energy; 0 removes it.", None, None),
        ] {
            let bounds = read(comment, Of::Number, false);
            assert_eq!((bounds.minimum, bounds.maximum), (minimum, maximum), "{comment}");
        }
        let removed = read("New label energy, 1 to 950; 0 removes it.", Of::Number, false);
        assert_eq!(
            (removed.minimum, removed.least_but_zero, removed.maximum),
            (Some(0.0), Some(1.0), Some(950.0))
        );
    }

    #[test]
    fn texts() {
        let bounds =
            read("\"positive\", \"negative\", or 1 to 1,000 characters of one's own.", Of::Text, false);
        assert_eq!((bounds.min_length, bounds.max_length, bounds.values.len()), (Some(1), Some(1000), 0));
        let bounds =
            read("What to call the owner, at most 100 characters. Empty for nothing.", Of::Text, false);
        assert_eq!((bounds.min_length, bounds.max_length, bounds.may_be_empty), (None, Some(100), true));
        let bounds = read("The collar's id, `^[A-Za-z0-9][A-Za-z0-9_-]{2,63}$`.", Of::Text, false);
        assert_eq!(bounds.pattern.as_deref(), Some("^[A-Za-z0-9][A-Za-z0-9_-]{2,63}$"));
        assert_eq!(read("The pet's id (UUID).", Of::Text, false).format, Some("uuid"));
        assert_eq!(read("YYYY-MM-DD, at most 80 days back.", Of::Text, false).format, Some("date"));
        assert_eq!(read("YYYY-MM-DD, at most 80 days back.", Of::Text, false).max_length, None);
        assert_eq!(
            read("HH:MM; with quiet_end, or both empty.", Of::Text, false).pattern.as_deref(),
            Some(HOUR)
        );
        let bounds = read("The event's id, \"evt_\" and 32 hexadecimal digits.", Of::Text, false);
        assert_eq!(bounds.pattern.as_deref(), Some("^evt_[0-9a-f]{32}$"));
        assert_eq!(read("\"DOG\" or \"CAT\".", Of::Text, false).values, ["DOG", "CAT"]);
        assert_eq!(read("\"Point\", or empty.", Of::Text, false).values, ["Point", ""]);
        assert_eq!(read("An e-mail address. Required.", Of::Text, false).format, Some("email"));
        assert_eq!(read("\"refresh\" or \"access\": where to look.", Of::Text, false).values, [""; 0]);
    }

    #[test]
    fn lists() {
        let bounds = read("At most 50, each 1 to 60 characters.", Of::Text, true);
        assert_eq!((bounds.min_items, bounds.max_items), (None, Some(50)));
        assert_eq!((bounds.min_length, bounds.max_length), (Some(1), Some(60)));
        let bounds = read("1 to 1,000 readings, in any order.", Of::Other, true);
        assert_eq!((bounds.min_items, bounds.max_items), (Some(1), Some(1000)));
        let bounds = read("The days: Monday is 1, Sunday 7; 1 to 7 of them.", Of::Number, true);
        assert_eq!((bounds.min_items, bounds.max_items, bounds.maximum), (Some(1), Some(7), None));
        let bounds = read("Exactly 2: longitude (−180 to 180), latitude (−90 to 90).", Of::Number, true);
        assert_eq!((bounds.min_items, bounds.max_items, bounds.minimum), (Some(2), Some(2), None));
        assert_eq!(read("When it applies, 20 at most.", Of::Other, true).max_items, Some(20));
        assert!(read("Kinds that are not to be raised; each once.", Of::Other, true).unique);
    }

    #[test]
    fn names() {
        assert_eq!(
            read("VIEWER, CAREGIVER or VET.", Of::Other, false).values,
            ["VIEWER", "CAREGIVER", "VET"]
        );
        assert_eq!(read("What it is.", Of::Other, false).values, [""; 0]);
    }
}
