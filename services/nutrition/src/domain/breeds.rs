//! Breeds whose dogs grow for as long as giants do, whatever one of them weighs by then.
//!
//! The giants of the behavior service's table (by the weights in the breeds' standards, FCI and AKC, ~), which alone matter here: sizes
//! of other breeds do not change how long a dog grows. A test holds the two lists together.

const GIANTS: [&str; 24] = [
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

/// Whether a breed, as owners say it, is a giant one: whatever its case, hyphens and dots. A mixed one is of no known size.
pub(crate) fn is_giant(breed: &str) -> bool {
    let words = breed.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join(" ").to_lowercase();
    GIANTS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_giant_is_known_however_it_is_written_and_a_mixed_one_is_not() {
        for giant in ["Great Dane", "  great-DANE ", "St. Bernard", "Deutsche Dogge"] {
            assert!(is_giant(giant), "{giant}");
        }
        for other in ["", "Great Dane mix", "Labrador Retriever", "Chihuahua", "dane"] {
            assert!(!is_giant(other), "{other}");
        }
    }

    #[test]
    fn the_giants_are_those_of_behavior() {
        let table = include_str!("../../../behavior/src/domain/kin/breeds.rs");
        let (_, giants) = table.split_once("const GIANT: &[&str] = &[").unwrap();
        let (giants, _) = giants.split_once("];").unwrap();
        let giants: Vec<&str> = giants.split('"').skip(1).step_by(2).collect();
        assert_eq!(giants, GIANTS);
    }
}
