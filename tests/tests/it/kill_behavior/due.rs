//! What is due by time alone: collars that fell silent, and pets that have been lying for most of the day.
//!
//! No collar is silent within ten minutes, and a pet is looked at each half hour. So when a collar was last heard, and when to look,
//! is put back in the database; whether and what is told is the service's own doing.

use std::fmt::Write as _;
use std::time::Duration;

use futures::future::join_all;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use petty_behavior::domain::Species;
use petty_behavior::domain::alerts::{Context, Report, Watch};
use petty_behavior::domain::v1::Own;
use petty_chassis::types::Clock;
use petty_tests::eventually;
use petty_tests::mesh::Mesh;
use petty_tests::rest::{Account, Client};
use petty_tests::tables::Tables;
use reqwest::Method;
use serde_json::{Value, json};

use super::{KILLS, LONGEST};

/// So many collars fall silent about each blow,
const SILENT: usize = 4;
/// and so many pets have been lying, one after the other.
const LYING: usize = 3;
/// So many days a pet is known, more than anything asks for.
const DAYS: i64 = 9;
/// The hour of the day it is where the pets live that have been lying since the morning.
const EVENING: i8 = 19;

/// What is to become due.
pub(super) struct Due {
    behavior: Tables,
    silent: Vec<String>,
    /// The pets that have been lying.
    pub(super) lying: Vec<String>,
}

impl Due {
    /// Pets that are known well enough.
    pub(super) async fn prepared(mesh: &Mesh, client: &Client, owner: &Account) -> Self {
        let due = Self {
            behavior: Tables::of(&mesh.stack, "behavior").await,
            silent: join_all(
                (0..SILENT * KILLS)
                    .map(|nth| async move { client.pet(owner, &format!("Silent {nth}"), "DOG").await }),
            )
            .await,
            lying: join_all((0..LYING).map(|nth| lying(client, owner, nth))).await,
        };
        let known = "SELECT count(*) FROM pet_states WHERE species IS NOT NULL AND pet_id IN";
        let heard = "SELECT count(DISTINCT pet_id) FROM episodes JOIN dues USING (pet_id)
                     WHERE end_at > now() - interval '5 minutes' AND what = 'inactivity' AND pet_id IN";
        eventually("behavior knows them", Duration::from_secs(120), || async {
            due.count(known, &due.silent).await == due.silent.len()
                && due.count(heard, &due.lying).await == due.lying.len()
        })
        .await;
        due
    }

    async fn count(&self, sql: &str, pets: &[String]) -> usize {
        usize::try_from(self.behavior.count(&format!("{sql} {}", list(pets))).await).unwrap()
    }

    fn of_round(&self, round: usize) -> &[String] {
        &self.silent[round * SILENT..][..SILENT]
    }

    /// Some of it becomes due, at moments that nobody chose, within the longest that a blow is waited for. The pets that lie are
    /// looked at in each round from theirs on.
    pub(super) async fn comes(&self, round: usize) {
        let moment = format!("now() + random() * interval '{LONGEST} milliseconds'");
        let watch = heard_long_ago().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        let silent = list(self.of_round(round));
        let sql = format!(
            "WITH heard AS (UPDATE pet_states SET watch = decode('{watch}', 'hex') WHERE pet_id IN {silent} RETURNING pet_id)
             INSERT INTO dues (pet_id, what, due_at) SELECT pet_id, 'silence', {moment} FROM heard RETURNING due_at"
        );
        assert_eq!(self.behavior.rows(&sql).await.len(), SILENT);
        let lying = list(&self.lying[..=round * LYING / KILLS]);
        let sql =
            format!("UPDATE dues SET due_at = {moment} WHERE what = 'inactivity' AND pet_id IN {lying}");
        self.behavior.rows(&sql).await;
    }

    /// Keeps one of the round's pets from being looked at.
    pub(super) async fn hold(&self, mesh: &Mesh, round: usize) -> Holder {
        let holder = Holder(Tables::of(&mesh.stack, "behavior").await);
        holder.0.rows("BEGIN").await;
        let pet = &self.of_round(round)[0];
        let sql = format!("SELECT pet_id FROM pet_states WHERE pet_id = '{pet}' FOR UPDATE");
        holder.0.rows(&sql).await;
        holder
    }

    /// Whether the round is in the middle of it: some is told, and some is not.
    pub(super) async fn is_amid(&self, round: usize) -> bool {
        let told = "SELECT count(*) FROM alerts WHERE kind = 'silent_collar' AND pet_id IN";
        (1..SILENT).contains(&self.count(told, self.of_round(round)).await)
    }

    /// What must have been told once it is over.
    pub(super) fn expected(&self) -> impl Iterator<Item = String> {
        let silent = self.silent.iter().map(|pet| format!("{pet} silent_collar raised"));
        silent.chain(self.lying.iter().map(|pet| format!("{pet} inactivity raised")))
    }
}

/// Who holds a pet: whoever looks at it waits, in the middle of that.
pub(super) struct Holder(Tables);

impl Holder {
    /// Whether both replicas wait for it, now or soon.
    pub(super) async fn is_waited_for(&self) -> bool {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                       AND query LIKE E'-- lock_state\n%'";
        let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
        while self.0.count(waiting).await < 2 {
            if tokio::time::Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }

    pub(super) async fn let_go(self) {
        self.0.rows("COMMIT").await;
    }
}

fn list(pets: &[String]) -> String {
    format!("('{}')", pets.join("', '"))
}

/// What is remembered of a pet whose collar said something half an hour ago, and nothing since.
fn heard_long_ago() -> Vec<u8> {
    let at = Clock::system().now() - SignedDuration::from_mins(30);
    let report = Report {
        at,
        collar: 1,
        heart_rate: Some(60.0),
        activity_level: None,
        position: None,
        respiratory_rate: None,
        temperature: None,
        battery: None,
    };
    let own = Own::prior(Species::Dog);
    let context = Context { species: Species::Dog, zone: &TimeZone::UTC, zones: &[], own };
    let mut watch = Watch::default();
    assert_eq!(watch.take(&context, &[report], at.as_microsecond()), []);
    watch.armed = true;
    watch.encode().unwrap()
}

/// A pet that is up each three hours by day, and today has been lying since it was up in the morning; its id.
async fn lying(client: &Client, owner: &Account, nth: usize) -> String {
    let now = Clock::system().now();
    let (zone, midnight) = evening(now);
    let pet = json!({"name": format!("Lying {nth}"), "species": "DOG", "time_zone": zone});
    let request = client.request(Method::POST, "/v1/pets", Some(&owner.token)).json(&pet);
    let pet = client.send(request).await.good()["pet_id"].as_str().unwrap().to_owned();
    let collar = format!("collar-lying-{nth}");
    let start = midnight - SignedDuration::from_hours(24 * DAYS);
    let device = client.pair(owner, &pet, &collar, Some(start)).await;
    let up = |hour: i64, days: i64| {
        let at = midnight + SignedDuration::from_hours(hour - 24 * days);
        let collar = collar.clone();
        (0..20_i32).map(move |minute| {
            let latitude = f64::from(52_500_000 + 600 * minute) / 1e6;
            json!({
                "collar_id": collar, "timestamp": later(at, minute.into()), "heart_rate": 110, "activity_level": 1,
                "location": {"type": "Point", "coordinates": [13.4, latitude], "accuracy": 5},
            })
        })
    };
    let days = (1..=DAYS).rev().flat_map(|days| [8, 11, 14, 17, 20].map(|hour| (hour, days)));
    let before: Vec<Value> = days.flat_map(|(hour, days)| up(hour, days)).collect();
    client.ingest_patiently(&device, &before).await;
    let morning = midnight + SignedDuration::from_hours(7) + SignedDuration::from_mins(20);
    let asleep = (0..=now.duration_since(morning).as_mins())
        .map(|minute| json!({"collar_id": collar, "timestamp": later(morning, minute), "heart_rate": 55, "activity_level": 0}));
    let today: Vec<Value> = up(7, 0).chain(asleep).collect();
    client.ingest_patiently(&device, &today).await;
    pet
}

fn later(at: Timestamp, minutes: i64) -> String {
    (at + SignedDuration::from_mins(minutes)).to_string()
}

/// A zone where it is evening now, and when its day began.
fn evening(now: Timestamp) -> (String, Timestamp) {
    let utc = now.to_zoned(TimeZone::UTC);
    let ahead = match EVENING - utc.hour() {
        // There is none that is as far ahead.
        ahead if ahead > 14 => ahead - 24,
        ahead => ahead,
    };
    // Their names count westwards.
    let zone = format!("Etc/GMT{}{}", if ahead < 0 { '+' } else { '-' }, ahead.abs());
    let begun = SignedDuration::from_hours(EVENING.into()) + SignedDuration::from_mins(utc.minute().into());
    let midnight = now - begun - SignedDuration::from_secs(utc.second().into());
    (zone, midnight)
}
