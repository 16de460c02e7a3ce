//! Which passphrases an account may choose: long rather than intricate, and not among the first that anybody would try
//! (NIST SP 800-63B-4, 3.1.1.2).
//!
//! Invariant: no composition rules, nothing truncated, any character; what is refused is short, or easily guessed by
//! somebody who knows the account's address and name and common passphrases.

use zxcvbn::zxcvbn;

use super::Problem;
use super::account::{Email, Passphrase};

/// What an account proves itself by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factors {
    /// The passphrase alone.
    PassphraseOnly,
    /// The passphrase and something else.
    Two,
}

impl Factors {
    /// By whether there is a second one.
    #[must_use]
    pub fn of(has_second: bool) -> Self {
        if has_second { Self::Two } else { Self::PassphraseOnly }
    }

    /// The fewest characters (NIST SP 800-63B-4, 3.1.1.2: 15 where it is the only factor, 8 where there is another).
    #[must_use]
    pub fn shortest(self) -> usize {
        match self {
            Self::PassphraseOnly => 15,
            Self::Two => 8,
        }
    }

    /// What is said of a passphrase that is too short or too long for them.
    #[must_use]
    pub fn out_of_bounds(self) -> Problem {
        Problem::out_of_range(match self {
            Self::PassphraseOnly => "must be 15 to 256 characters",
            Self::Two => "must be 8 to 256 characters",
        })
    }

    /// So many guesses, as a power of ten, must be expected. Beyond what can be tried against a log-in, which is throttled:
    /// zxcvbn's own third of five steps ends at 10⁸. Eight random characters are counted as 10⁸.
    fn guesses_log10(self) -> f64 {
        match self {
            Self::PassphraseOnly => 9.0,
            Self::Two => 7.0,
        }
    }
}

/// So many characters are looked at together. zxcvbn takes far longer than its input is long (0.4 s for 256 that all may
/// stand for letters); a passphrase is at least as hard to guess as the hardest part of it.
const PIECE: usize = 32;
/// What everybody who knows this service tries.
const SERVICE: [&str; 3] = ["petty", "pettycollar", "collar"];
/// Shorter parts of addresses and names stand in too many innocent words.
const SHORTEST_WORD: usize = 3;

/// The words that somebody who knows an account tries first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextWords(Vec<String>);

impl ContextWords {
    /// Of an account's address and name, and of the service.
    #[must_use]
    pub fn of(email: &Email, name: Option<&str>) -> Self {
        let key = email.key();
        let (local, domain) = key.rsplit_once('@').unwrap_or((key, ""));
        let name = name.unwrap_or_default().to_lowercase();
        let mut words: Vec<String> = SERVICE.map(str::to_owned).into();
        for text in [key, local, domain, name.as_str()] {
            let plain: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
            let parts = text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned);
            words.extend([text.to_owned(), plain].into_iter().chain(parts));
        }
        words.retain(|word| word.chars().count() >= SHORTEST_WORD);
        words.sort_unstable();
        words.dedup();
        Self(words)
    }
}

/// Whether an account may choose a passphrase. Takes up to some hundredths of a second: not to be called where others
/// wait for the thread.
///
/// # Errors
/// Where it is too short, or among the first that anybody would try.
pub fn judge(passphrase: &Passphrase, factors: Factors, words: &ContextWords) -> Result<(), Problem> {
    let characters: Vec<char> = passphrase.expose().chars().collect();
    if characters.len() < factors.shortest() {
        return Err(factors.out_of_bounds());
    }
    let words: Vec<&str> = words.0.iter().map(String::as_str).collect();
    let is_hard = |piece: &[char]| {
        let piece: String = piece.iter().collect();
        zxcvbn(&piece, &words).guesses_log10() >= factors.guesses_log10()
    };
    if repeated(&characters).chunks(PIECE).any(is_hard) { Ok(()) } else { Err(Problem::GUESSABLE) }
}

/// What a text says again and again, perhaps with something between; the text itself where it does not.
fn repeated(text: &[char]) -> &[char] {
    let repeats = |length: &usize| text.iter().zip(&text[*length..]).all(|(before, after)| before == after);
    (1..=text.len().div_ceil(2)).find(repeats).map_or(text, |length| &text[..length])
}
