//! What foods are made of, and whether that is what a pet must not have.
//!
//! Invariant: ingredients are compared by their words, whatever their case, hyphens or plural, so that "chicken" is found in
//! "Chicken-Meal". In doubt something counts as found: leaving a food out harms nobody.

/// The longest name of an ingredient, in characters.
pub const MAX_CHARS: usize = 60;

/// As it is kept: in lower case, single spaces; `None` where it is empty, too long or without a letter.
#[must_use]
pub fn normalized(name: &str) -> Option<String> {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let fits = name.chars().count() <= MAX_CHARS && name.chars().any(char::is_alphabetic);
    fits.then_some(name)
}

/// Whether `ingredient` has the words of `name`, next to each other.
#[must_use]
pub fn has(ingredient: &str, name: &str) -> bool {
    let (ingredient, name) = (words(ingredient), words(name));
    !name.is_empty() && ingredient.windows(name.len()).any(|window| window == name)
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| singular(&word.to_lowercase())).collect()
}

/// Good enough for the names of foods: berries, tomatoes, eggs.
fn singular(word: &str) -> String {
    let stem = |end: &str, instead: &str| {
        let stem = word.strip_suffix(end)?;
        (stem.chars().count() >= 2).then(|| format!("{stem}{instead}"))
    };
    if word.ends_with("ss") {
        return word.to_owned();
    }
    stem("ies", "y").or_else(|| stem("oes", "o")).or_else(|| stem("s", "")).unwrap_or_else(|| word.to_owned())
}
