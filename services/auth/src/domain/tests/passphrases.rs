//! Which passphrases are taken.

use super::super::ProblemKind;
use super::super::account::{Email, Passphrase};
use super::super::passphrase::Factors::{PassphraseOnly, Two};
use super::super::passphrase::{ContextWords, Factors, judge};

fn words() -> ContextWords {
    ContextWords::of(&Email::parse("Ada.Lovelace@dogwalkers.example").unwrap(), Some("Ada King"))
}

/// What is wrong with a passphrase, if anything is.
fn verdict(text: &str, factors: Factors) -> Option<ProblemKind> {
    let verdict =
        Passphrase::parse(text, factors).and_then(|passphrase| judge(&passphrase, factors, &words()));
    verdict.err().map(|problem| problem.kind)
}

#[test]
fn passphrases_are_counted_in_characters_of_their_normal_form() {
    for (text, shortest) in [
        ("a".repeat(7), None),
        ("a".repeat(8), Some(Two)),
        ("a".repeat(14), Some(Two)),
        ("a".repeat(15), Some(PassphraseOnly)),
        ("\u{1f415}".repeat(15), Some(PassphraseOnly)),
        ("\u{1f415}".repeat(256), Some(PassphraseOnly)),
        ("a".repeat(256), Some(PassphraseOnly)),
        ("a".repeat(257), None),
        // Eight letters with an accent each: 16 code points apart, 8 as one.
        ("e\u{301}".repeat(8), Some(Two)),
        ("e\u{301}".repeat(15), Some(PassphraseOnly)),
        (" ".repeat(15), Some(PassphraseOnly)),
        ("\0".repeat(15), Some(PassphraseOnly)),
    ] {
        let count = text.chars().count();
        assert_eq!(
            Passphrase::parse(&text, PassphraseOnly).is_ok(),
            shortest == Some(PassphraseOnly),
            "{count}"
        );
        assert_eq!(Passphrase::parse(&text, Two).is_ok(), shortest.is_some(), "{count}");
    }
    let exposed = |text: &str| Passphrase::parse(text, PassphraseOnly).unwrap().expose().to_owned();
    assert_eq!(exposed(&"e\u{301}".repeat(15)), exposed(&"\u{e9}".repeat(15)));
    // Neither cut nor trimmed.
    let long = format!(" {}z ", "correct horse ".repeat(18));
    assert_eq!(exposed(&long), long);
    assert!(Passphrase::attempt("short").is_ok());
    assert!(Passphrase::attempt(&"a".repeat(257)).is_err());
    assert_eq!(Passphrase::attempt("").unwrap_err().kind, ProblemKind::Required);
    assert!(!format!("{:?}", Passphrase::attempt("correct horse battery").unwrap()).contains("horse"));
}

#[test]
fn only_long_passphrases_stand_alone_and_none_is_easily_guessed() {
    let short = Some(ProblemKind::OutOfRange);
    let guessable = Some(ProblemKind::Guessable);
    for (text, alone, with_second) in [
        ("correct horse battery staple", None, None),
        // No composition rules: one kind of character is enough, and any may be there.
        ("my dog is called rex", None, None),
        ("lavendelduft im morgengrauen", None, None),
        ("犬と猫が庭で一緒に遊んでいるよ", None, None),
        ("8305 1947 2260 7714", None, None),
        ("j8#kQ2vx", short, None),
        ("blue whale", short, None),
        ("correct horse", short, None),
        // Common, repeated, in a row.
        ("password", short, guessable),
        ("password1234", short, guessable),
        ("passwordpassword", guessable, guessable),
        ("password password", guessable, guessable),
        ("P4ssw0rdP4ssw0rd", guessable, guessable),
        ("iloveyouforever", guessable, guessable),
        ("123456789012345", guessable, guessable),
        ("qwertyuiopasdfgh", guessable, guessable),
        ("abcdefghijklmnop", guessable, guessable),
        ("aaaaaaaaaaaaaaa", guessable, guessable),
        ("               ", guessable, guessable),
        ("administrator12345", guessable, guessable),
        // Longer does not make it harder.
        (&"a".repeat(256), guessable, guessable),
        (&"password".repeat(32), guessable, guessable),
        (&"Ada.Lovelace".repeat(8), guessable, guessable),
        (&"whale ".repeat(20), guessable, guessable),
        (&"correct horse battery ".repeat(11), None, None),
        // The account's address and name, and the service's.
        ("ada.lovelace@dogwalkers.example", guessable, guessable),
        ("AdaLovelace12345", guessable, guessable),
        ("adalovelaceadalovelace", guessable, guessable),
        ("dogwalkers2026!", guessable, None),
        ("adaking adaking", guessable, guessable),
        ("petty petty petty", guessable, guessable),
        ("PettyCollar12345", guessable, guessable),
    ] {
        assert_eq!(verdict(text, PassphraseOnly), alone, "{text} alone");
        assert_eq!(verdict(text, Two), with_second, "{text} with a second factor");
    }
}

#[test]
fn the_hardest_part_of_a_long_passphrase_counts() {
    let tail = "lavendelduft im morgengrauen";
    assert_eq!(verdict(&format!("{}{tail}", "a".repeat(64)), PassphraseOnly), None);
    assert_eq!(verdict(&format!("{tail}{}", "a".repeat(200)), PassphraseOnly), None);
}

#[test]
fn any_text_is_judged_without_a_panic() {
    for text in [
        "\u{0}".repeat(256),
        "\u{10ffff}".repeat(256),
        "é🐕".repeat(128),
        "@4".repeat(128),
        "\u{202e}ab".repeat(85),
    ] {
        let _judged = verdict(&text, PassphraseOnly);
    }
    let any = proptest::collection::vec(proptest::char::any(), 8..=40);
    proptest::proptest!(proptest::prelude::ProptestConfig::with_cases(64), |(characters in any)| {
        let _judged = verdict(&characters.into_iter().collect::<String>(), Two);
    });
}

#[test]
fn context_words_are_those_of_the_address_the_name_and_the_service() {
    let words = format!("{:?}", words());
    for word in [
        "ada.lovelace",
        "adalovelace",
        "ada",
        "lovelace",
        "dogwalkers",
        "ada king",
        "adaking",
        "king",
        "petty",
    ] {
        assert!(words.contains(&format!("\"{word}\"")), "{word} in {words}");
    }
    let short = format!("{:?}", ContextWords::of(&Email::parse("a.b@c.de").unwrap(), None));
    for innocent in ["\"a\"", "\"de\"", "\"\""] {
        assert!(!short.contains(innocent), "{innocent} in {short}");
    }
}
