//! The collars that measure: paired through the API, each with its token, one reading a second.

use std::fmt::Write as _;

use anyhow::Context as _;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::Clock;
use secrecy::{ExposeSecret as _, SecretString};

use crate::client::{Account, Client, NewPet, Species};

/// Collars, each on a pet of its own.
pub(super) const COLLARS: usize = 256;
const PETS_OF_AN_ACCOUNT: usize = 16;
/// Made at once.
const AT_ONCE: usize = 8;

/// A collar on its pet.
pub(super) struct Collar {
    pub(super) id: String,
    pub(super) pet: String,
    /// The collar's own token.
    pub(super) token: String,
    /// Its owner's.
    pub(super) owner: String,
}

/// All of them.
pub(super) struct Herd {
    pub(super) collars: Vec<Collar>,
    /// When the first second is: they go on from there.
    pub(super) begin: Timestamp,
}

impl Herd {
    pub(super) async fn gather(base: &str) -> anyhow::Result<Self> {
        let begin = Clock::system().now() - SignedDuration::from_hours(25 * 24);
        // A midnight, so that a day of readings is one partition's.
        let day = begin.as_second().div_euclid(86_400);
        let begin = Timestamp::from_second(day * 86_400)?;
        let client = &Client::new(base)?;
        let accounts: Vec<SecretString> = futures::stream::iter(0..COLLARS / PETS_OF_AN_ACCOUNT)
            .map(|nth| async move {
                let account = Account {
                    email: format!("herd-{nth}@example.com"),
                    password: "a passphrase for a bench".to_owned().into(),
                };
                client.sign_up(&account).await
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let accounts = &accounts;
        let collars = futures::stream::iter(0..COLLARS)
            .map(|nth| async move {
                let owner = &accounts[nth / PETS_OF_AN_ACCOUNT];
                let (id, key) = (format!("bench-{nth:04}"), format!("bench-{nth}"));
                let pet = NewPet::named("Rex", Species::Dog);
                let pet = client.create_pet(owner, &pet, &key).await?;
                let secret = client.pair_collar(owner, &pet, &id, begin, &key).await?;
                let token = client.collar_token(&id, &secret).await?;
                anyhow::Ok(Collar {
                    id,
                    pet,
                    token: token.expose_secret().to_owned(),
                    owner: owner.expose_secret().to_owned(),
                })
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
            .context("pair the bench's collars")?;
        Ok(Self { collars, begin })
    }

    /// The time of a collar's second.
    pub(super) fn at(&self, second: i64) -> Timestamp {
        self.begin + SignedDuration::from_secs(second)
    }
}

/// What every collar measures at a second: heart rate, activity, longitude and latitude in millionths of a degree.
pub(in crate::bench) fn signals(collar: usize, second: i64) -> (f64, i16, i32, i32) {
    // Resting and walking by turns of ten minutes.
    let walking = (second / 600) % 2 == 1;
    let wander = i32::try_from(second % 997).unwrap_or(0);
    let collar = i32::try_from(collar).unwrap_or(0);
    let beats = if walking { 120.0 } else { 70.0 } + f64::from(wander % 20) * 0.5;
    (beats, i16::from(walking), 13_400_000 + wander * 3, 52_500_000 + collar * 100 + wander)
}

/// A reading as JSON.
pub(in crate::bench) fn json(out: &mut String, id: &str, nth: usize, second: i64, time: Timestamp) {
    let (beats, activity, longitude, latitude) = signals(nth, second);
    // A String takes everything.
    let _infallible = write!(
        out,
        r#"{{"collar_id":"{id}","timestamp":"{time}","heart_rate":{beats},"activity_level":{activity},"location":{{"type":"Point","coordinates":[{},{}]}}}}"#,
        f64::from(longitude) / 1e6,
        f64::from(latitude) / 1e6
    );
}
