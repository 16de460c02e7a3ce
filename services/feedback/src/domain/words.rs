//! What somebody says, read and bounded.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::micros;

use super::Verdict;

/// The most characters of a free text.
const LONGEST: usize = 1_000;
/// Clocks of clients may be ahead by this.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// What was said longer ago says little of what is told now.
const BACK: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What is wrong with what somebody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("must have 1 to 1,000 characters")]
    Length,
    #[error("must hold no NUL characters")]
    Nul,
    #[error("must not be in the future by more than 1 h")]
    Ahead,
    #[error("must be at most 30 days back")]
    Back,
}

/// A verdict, with a comment where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opinion {
    pub(crate) verdict: Verdict,
    pub(crate) comment: Option<String>,
}

/// A free text: 1 to 1,000 characters (Unicode scalar values) once the space around them is gone.
pub(crate) fn free_text(text: &str) -> Result<String, Fault> {
    let text = text.trim();
    if !(1..=LONGEST).contains(&text.chars().count()) {
        return Err(Fault::Length);
    }
    // No database keeps it.
    if text.contains('\0') { Err(Fault::Nul) } else { Ok(text.to_owned()) }
}

/// What the first system's clients send: one of two words, or a text of one's own, which says neither.
pub(crate) fn opinion(text: &str) -> Result<Opinion, Fault> {
    let text = free_text(text)?;
    let verdict = [("positive", Verdict::Correct), ("negative", Verdict::Wrong)]
        .into_iter()
        .find(|(word, _)| text.eq_ignore_ascii_case(word))
        .map(|(_, verdict)| verdict);
    Ok(match verdict {
        Some(verdict) => Opinion { verdict, comment: None },
        None => Opinion { verdict: Verdict::Unsure, comment: Some(text) },
    })
}

/// When it was said: now, where that is not stated. A clock that is ahead says nothing of the future, so that its word does
/// not stay the newest for an hour.
pub(crate) fn said_at(stated: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Fault> {
    let now = micros(now);
    let Some(stated) = stated.map(micros) else { return Ok(now) };
    let ahead = stated.duration_since(now);
    if ahead > AHEAD {
        Err(Fault::Ahead)
    } else if ahead < -BACK {
        Err(Fault::Back)
    } else {
        Ok(stated.min(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_by_characters_not_bytes() {
        assert_eq!(free_text(&"ß".repeat(1_000)), Ok("ß".repeat(1_000)));
        assert_eq!(free_text(&format!(" {}\n", "ß".repeat(1_000))), Ok("ß".repeat(1_000)));
        assert_eq!(free_text(&"ß".repeat(1_001)), Err(Fault::Length));
        assert_eq!(free_text("🐕"), Ok("🐕".to_owned()));
        for text in ["", " ", "\n\t "] {
            assert_eq!(free_text(text), Err(Fault::Length), "{text:?}");
        }
        assert_eq!(free_text("a\0b"), Err(Fault::Nul));
        assert_eq!(free_text("two\nlines"), Ok("two\nlines".to_owned()));
    }

    #[test]
    fn two_words_are_verdicts_and_all_else_is_a_comment() {
        for (text, verdict) in [
            ("positive", Verdict::Correct),
            ("POSITIVE", Verdict::Correct),
            (" Negative ", Verdict::Wrong),
            ("nEgAtIvE", Verdict::Wrong),
        ] {
            assert_eq!(opinion(text), Ok(Opinion { verdict, comment: None }), "{text}");
        }
        for text in ["He slept", "positively", "not negative", "positive!"] {
            let comment = Some(text.to_owned());
            assert_eq!(opinion(text), Ok(Opinion { verdict: Verdict::Unsure, comment }));
        }
    }

    #[test]
    fn what_was_said_is_neither_old_nor_of_the_future() {
        let now: Timestamp = "2026-01-10T12:00:00Z".parse().unwrap();
        let hours = |hours| now + SignedDuration::from_hours(hours);
        let second = SignedDuration::from_secs(1);
        assert_eq!(said_at(None, now), Ok(now));
        assert_eq!(said_at(Some(hours(-1)), now), Ok(hours(-1)));
        assert_eq!(said_at(Some(hours(1)), now), Ok(now), "a clock that is ahead");
        assert_eq!(said_at(Some(hours(1) + second), now), Err(Fault::Ahead));
        assert_eq!(said_at(Some(hours(-30 * 24)), now), Ok(hours(-30 * 24)));
        assert_eq!(said_at(Some(hours(-30 * 24) - second), now), Err(Fault::Back));
        assert_eq!(said_at(Some(Timestamp::MIN), now), Err(Fault::Back));
        assert_eq!(said_at(Some(Timestamp::MAX), now), Err(Fault::Ahead));
    }
}
