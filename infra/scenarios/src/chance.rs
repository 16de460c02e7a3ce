//! Chance that can be asked again: the same keys give the same numbers.

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
        let state = keys.iter().fold(STEP, |state, key| mix(state ^ mix(key.wrapping_add(STEP))));
        Self { state }
    }

    /// The next one, any.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// The next one, 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        // 53 bits are what an f64 holds.
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The next one, between two.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, of: &[T], otherwise: T) -> T {
        let index = usize::try_from(self.number() % of.len().max(1) as u64).unwrap_or_default();
        of.get(index).copied().unwrap_or(otherwise)
    }

    /// About normal, mean 0, SD 1, never beyond 3.47: the sum of four uniform ones out of one number.
    pub fn bell(&mut self) -> f64 {
        let number = self.number();
        let sum: u64 = (0..4).map(|quarter| (number >> (16 * quarter)) & 0xFFFF).sum();
        // Mean 2, variance 4/12, in units of 65,536.
        (sum as f64 / 65_536.0 - 1.999_97) * 1.732_05
    }

    /// Normal, with that mean and SD.
    pub fn normal(&mut self, mean: f64, sd: f64) -> f64 {
        mean + sd * self.bell()
    }

    /// Log-normal: its median, and the SD of its logarithm.
    pub fn spread(&mut self, median: f64, sd: f64) -> f64 {
        median * (sd * self.bell()).exp()
    }

    /// Exponential with that mean.
    pub fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

/// splitmix64's finaliser (Steele, Lea, Flood 2014).
fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// Something that wanders about a mean (an Ornstein-Uhlenbeck process, in steps of one second).
#[derive(Debug, Clone, Copy)]
pub struct Wander {
    /// Where it is, in SDs.
    at: f64,
    keep: f64,
    push: f64,
}

impl Wander {
    /// One that forgets within so many seconds.
    #[must_use]
    pub fn new(memory_s: f64, chance: &mut Chance) -> Self {
        let keep = (-1.0 / memory_s).exp();
        Self { at: chance.bell(), keep, push: (1.0 - keep * keep).sqrt() }
    }

    /// A second later: mean 0, SD 1.
    pub fn step(&mut self, chance: &mut Chance) -> f64 {
        self.at = self.keep * self.at + self.push * chance.bell();
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_sd(values: &[f64]) -> (f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt())
    }

    #[test]
    fn the_same_keys_give_the_same_numbers_and_others_give_others() {
        let numbers = |keys: &[u64]| {
            let mut chance = Chance::of(keys);
            [chance.number(), chance.number()]
        };
        assert_eq!(numbers(&[1, 2]), numbers(&[1, 2]));
        assert_ne!(numbers(&[1, 2]), numbers(&[2, 1]));
        assert_eq!(
            numbers(&[1, 2])[0],
            15_286_041_500_730_416_461,
            "recordings of earlier versions must come again"
        );
    }

    #[test]
    fn bells_and_wanderers_have_the_spread_they_say() {
        let mut chance = Chance::of(&[7]);
        let bells: Vec<f64> = (0..50_000).map(|_| chance.bell()).collect();
        let (mean, sd) = mean_and_sd(&bells);
        assert!(mean.abs() < 0.02 && (sd - 1.0).abs() < 0.02, "{mean} {sd}");
        let mut wander = Wander::new(30.0, &mut chance);
        let way: Vec<f64> = (0..200_000).map(|_| wander.step(&mut chance)).collect();
        let (mean, sd) = mean_and_sd(&way);
        assert!(mean.abs() < 0.06 && (sd - 1.0).abs() < 0.06, "{mean} {sd}");
        let lagged = way.iter().zip(&way[30..]).map(|(a, b)| a * b).sum::<f64>() / way.len() as f64;
        assert!((lagged - (-1.0_f64).exp()).abs() < 0.06, "{lagged}");
    }
}
