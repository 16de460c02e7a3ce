//! Chance that can be asked again: the same keys give the same numbers, on every machine and in every run.

/// The fractional part of the golden ratio, as splitmix64 has it.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Numbers that follow from their keys.
#[derive(Debug, Clone)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The numbers of these keys.
    #[must_use]
    pub fn of(keys: &[u64]) -> Self {
        Self { state: key(keys) }
    }

    /// The next one, any.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// The next one, 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        fraction(self.number())
    }

    /// The next one, between two.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of several; `None` where there are none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let index = self.number().checked_rem(of.len() as u64)?;
        of.get(usize::try_from(index).ok()?)
    }
}

/// One number for several.
#[must_use]
pub fn key(keys: &[u64]) -> u64 {
    keys.iter().fold(STEP, |state, key| mix(state ^ mix(key.wrapping_add(STEP))))
}

/// 0 to below 1, by keys alone.
#[must_use]
pub fn unit(keys: &[u64]) -> f64 {
    fraction(key(keys))
}

/// About normal, mean 0, SD 1, never beyond 3: three uniform ones, scaled.
#[must_use]
pub fn bell(keys: &[u64]) -> f64 {
    let mut chance = Chance::of(keys);
    2.0 * (chance.unit() + chance.unit() + chance.unit() - 1.5)
}

fn fraction(number: u64) -> f64 {
    // 53 bits are what an f64 holds.
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

/// splitmix64's finaliser (Steele, Lea, Flood 2014).
fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_keys_give_the_same_numbers_and_others_give_others() {
        let numbers = |keys: &[u64]| {
            let mut chance = Chance::of(keys);
            [chance.number(), chance.number(), chance.number()]
        };
        assert_eq!(numbers(&[1, 2]), numbers(&[1, 2]));
        assert_ne!(numbers(&[1, 2]), numbers(&[2, 1]));
        assert_ne!(numbers(&[0]), numbers(&[0, 0]));
        assert_eq!(
            numbers(&[1, 2])[0],
            15_286_041_500_730_416_461,
            "readings of earlier runs must come again"
        );
    }

    #[test]
    fn numbers_are_spread() {
        let mut chance = Chance::of(&[7]);
        let numbers: Vec<f64> = (0..10_000).map(|_| chance.unit()).collect();
        let mean = numbers.iter().sum::<f64>() / 10_000.0;
        assert!((0.48..0.52).contains(&mean), "{mean}");
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        let bells: Vec<f64> = (0..10_000).map(|number| bell(&[number])).collect();
        let spread = (bells.iter().map(|bell| bell * bell).sum::<f64>() / 10_000.0).sqrt();
        assert!((0.95..1.05).contains(&spread), "{spread}");
    }
}
