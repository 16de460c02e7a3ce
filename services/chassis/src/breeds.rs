//! How large dogs of a breed are.
//!
//! By the weights of grown ones in the breeds' standards (FCI and AKC, ~), in the classes of domain.md: under 10, 25 and 45 kg, and above.
//!
//! Invariant: each breed has one size, for all services. One that is not here, and a mixed one, is of no known size.

use serde::{Deserialize, Serialize};

/// How large a dog is when grown, by its breed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Size {
    /// Under 10 kg.
    Small,
    /// Under 25 kg.
    Medium,
    /// Under 45 kg.
    Large,
    /// Above.
    Giant,
}

impl Size {
    /// All.
    pub const ALL: [Self; 4] = [Self::Small, Self::Medium, Self::Large, Self::Giant];

    /// The name rows carry. It never changes.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
            Self::Giant => "giant",
        }
    }

    /// The size of a slug.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.slug() == slug)
    }
}

const SMALL: &[&str] = &[
    "affenpinscher",
    "bichon frise",
    "bolognese",
    "border terrier",
    "boston terrier",
    "brussels griffon",
    "cairn terrier",
    "cavalier king charles spaniel",
    "chihuahua",
    "chinese crested",
    "coton de tulear",
    "dachshund",
    "dackel",
    "griffon bruxellois",
    "havanese",
    "italian greyhound",
    "jack russell terrier",
    "japanese chin",
    "king charles spaniel",
    "lhasa apso",
    "maltese",
    "maltipoo",
    "miniature dachshund",
    "miniature pinscher",
    "miniature poodle",
    "miniature schnauzer",
    "norfolk terrier",
    "norwich terrier",
    "papillon",
    "parson russell terrier",
    "pekingese",
    "pomeranian",
    "pug",
    "schipperke",
    "scottish terrier",
    "shetland sheepdog",
    "shih tzu",
    "silky terrier",
    "tibetan spaniel",
    "toy fox terrier",
    "toy poodle",
    "west highland white terrier",
    "yorkie",
    "yorkshire terrier",
];

const MEDIUM: &[&str] = &[
    "american cocker spaniel",
    "american eskimo dog",
    "australian cattle dog",
    "australian kelpie",
    "basenji",
    "beagle",
    "bearded collie",
    "bedlington terrier",
    "border collie",
    "brittany",
    "bull terrier",
    "cocker spaniel",
    "english bulldog",
    "english cocker spaniel",
    "english springer spaniel",
    "entlebucher mountain dog",
    "french bulldog",
    "kerry blue terrier",
    "lagotto romagnolo",
    "medium poodle",
    "pembroke welsh corgi",
    "portuguese water dog",
    "pumi",
    "saluki",
    "samoyed",
    "shiba inu",
    "siberian husky",
    "soft coated wheaten terrier",
    "staffordshire bull terrier",
    "standard schnauzer",
    "tibetan terrier",
    "welsh corgi",
    "welsh springer spaniel",
    "whippet",
];

const LARGE: &[&str] = &[
    "airedale terrier",
    "akita inu",
    "alaskan malamute",
    "american staffordshire terrier",
    "australian shepherd",
    "basset hound",
    "belgian malinois",
    "belgian shepherd",
    "black and tan coonhound",
    "bloodhound",
    "boxer",
    "chesapeake bay retriever",
    "chow chow",
    "curly coated retriever",
    "dalmatian",
    "deutscher schaferhund",
    "dobermann",
    "doberman pinscher",
    "english foxhound",
    "english pointer",
    "english setter",
    "flat coated retriever",
    "german shepherd",
    "german shepherd dog",
    "german shorthaired pointer",
    "german wirehaired pointer",
    "giant schnauzer",
    "golden retriever",
    "gordon setter",
    "greyhound",
    "hovawart",
    "irish setter",
    "labradoodle",
    "labrador",
    "labrador retriever",
    "nova scotia duck tolling retriever",
    "old english sheepdog",
    "pit bull terrier",
    "rhodesian ridgeback",
    "rough collie",
    "smooth collie",
    "standard poodle",
    "vizsla",
    "weimaraner",
    "white swiss shepherd dog",
];

const GIANT: &[&str] = &[
    "anatolian shepherd dog",
    "bernese mountain dog",
    "boerboel",
    "bullmastiff",
    "cane corso",
    "caucasian shepherd dog",
    "deutsche dogge",
    "dogue de bordeaux",
    "english mastiff",
    "great dane",
    "great pyrenees",
    "irish wolfhound",
    "kangal",
    "kuvasz",
    "landseer",
    "leonberger",
    "mastiff",
    "neapolitan mastiff",
    "newfoundland",
    "rottweiler",
    "saint bernard",
    "scottish deerhound",
    "st bernard",
    "tibetan mastiff",
];

/// The size of a breed, as owners say it: whatever its case, hyphens and dots.
#[must_use]
pub fn size_of(breed: &str) -> Option<Size> {
    let mut name = String::with_capacity(breed.len());
    for word in breed.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if !name.is_empty() {
            name.push(' ');
        }
        name.extend(word.chars().flat_map(char::to_lowercase).map(plain));
    }
    let classes = [(Size::Small, SMALL), (Size::Medium, MEDIUM), (Size::Large, LARGE), (Size::Giant, GIANT)];
    classes.into_iter().find(|(_, breeds)| breeds.contains(&name.as_str())).map(|(size, _)| size)
}

const fn plain(letter: char) -> char {
    match letter {
        'à' | 'á' | 'â' | 'ä' => 'a',
        'è' | 'é' | 'ê' | 'ë' => 'e',
        'ö' | 'ó' | 'ô' => 'o',
        'ü' | 'ú' | 'û' => 'u',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_breed_is_known_however_it_is_written_and_a_mixed_one_is_not() {
        assert_eq!(size_of("  Jack-Russell TERRIER"), Some(Size::Small));
        assert_eq!(size_of("Coton de Tuléar"), Some(Size::Small));
        assert_eq!(size_of("St. Bernard"), Some(Size::Giant));
        assert_eq!(size_of("Deutscher Schäferhund"), Some(Size::Large));
        for unknown in ["", "Mixed breed", "Labrador mix", "Siamese", "dog"] {
            assert_eq!(size_of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn each_breed_has_one_size_and_is_written_as_it_is_looked_up() {
        let all: Vec<&str> = [SMALL, MEDIUM, LARGE, GIANT].concat();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert!(all.iter().all(|breed| size_of(breed).is_some()));
    }
}
