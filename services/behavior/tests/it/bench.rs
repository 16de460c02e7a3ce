//! A behavior service on a bench: its worker, its handler, and the readings it is given.

use std::ops::Deref;
use std::sync::Arc;

use petty_behavior::domain::Species;
use petty_behavior::grpc::Grpc;
use petty_behavior::migrations;
use petty_behavior::worker::Worker;
use petty_chassis::events::topics;
use petty_chassis::grpc::gate::Guarded;
use petty_chassis::types::PetId;
use petty_proto::auth::v1::Pet;
use petty_proto::events::v1::{AcceptedReading, BehaviorChanged, PetReadings, ReadingsAccepted};
use petty_testbench::{Pets, Plan, a_cat, a_dog, at};

pub(crate) struct Bench {
    bench: petty_testbench::Bench,
    pub(crate) pets: Pets,
    pub(crate) grpc: Guarded<Grpc>,
}

impl Deref for Bench {
    type Target = petty_testbench::Bench;

    fn deref(&self) -> &Self::Target {
        &self.bench
    }
}

pub(crate) fn plan() -> Plan {
    Plan::new("behavior", migrations())
}

impl Bench {
    /// One with a database of this name, whose events are applied by hand.
    pub(crate) async fn new(name: &str) -> Self {
        Self::on(plan().lay(name).await)
    }

    /// One that can consume.
    pub(crate) async fn consuming(name: &str) -> Self {
        Self::on(plan().consuming().lay(name).await)
    }

    fn on(mut bench: petty_testbench::Bench) -> Self {
        let pets = Pets::default();
        let (clock, shards) = (bench.clock.clone(), bench.base.events.shards());
        bench.employ(Arc::new(Worker::new(clock.clone(), shards, Box::new(pets.clone()))));
        let grpc = bench.guard(Grpc::new(bench.base.db.clone(), clock, shards));
        Self { bench, pets, grpc }
    }

    /// A pet that auth knows.
    pub(crate) fn pet(&self, species: Species) -> PetId {
        let pet = self.pet_id();
        self.pets.say(about(pet, species, 1));
        pet
    }

    /// Applies a pet's readings.
    pub(crate) async fn take(&self, pet: PetId, readings: &[AcceptedReading]) {
        let event = self.event(&topics::READINGS_ACCEPTED, pet, 0, &flush([(pet, readings.to_vec())]));
        self.apply(&event).await.unwrap();
    }

    /// What was told of behaviours, in the order it was written.
    pub(crate) async fn told(&self) -> Vec<(i64, BehaviorChanged)> {
        let written = self.outbox(&topics::BEHAVIOR_CHANGED).await;
        written.into_iter().map(|written| (written.version, written.payload)).collect()
    }
}

/// A pet of a species.
pub(crate) fn about(pet: PetId, species: Species, version: i64) -> Pet {
    match species {
        Species::Dog => a_dog(pet, version),
        Species::Cat => a_cat(pet, version),
    }
}

/// One flush.
pub(crate) fn flush(pets: impl IntoIterator<Item = (PetId, Vec<AcceptedReading>)>) -> ReadingsAccepted {
    let of = |(pet, readings): (PetId, Vec<AcceptedReading>)| PetReadings {
        pet_id: pet.to_string(),
        readings,
        ..PetReadings::default()
    };
    ReadingsAccepted { pets: pets.into_iter().map(of).collect() }
}

/// A reading at so many seconds after noon.
pub(crate) fn reading(seconds: i64, heart_rate: f64, level: i32) -> AcceptedReading {
    AcceptedReading {
        collar_id: "collar-1".to_owned(),
        time_us: at(seconds).as_microsecond(),
        heart_rate: Some(heart_rate),
        activity_level: Some(level),
        ..AcceptedReading::default()
    }
}

/// A minute apart, on the move: Walking.
pub(crate) fn walking(from_minute: i64, minutes: i64) -> Vec<AcceptedReading> {
    let step = |minute: i64| AcceptedReading {
        latitude: Some(f64::from(i32::try_from(52_500_000 + 600 * minute).unwrap()) / 1e6),
        longitude: Some(13.4),
        accuracy_m: Some(5.0),
        ..reading(60 * minute, 110.0, 1)
    };
    (from_minute..from_minute + minutes).map(step).collect()
}

/// A minute apart, still and steady: Deep Sleep.
pub(crate) fn asleep(from_minute: i64, minutes: i64) -> Vec<AcceptedReading> {
    (from_minute..from_minute + minutes).map(|minute| reading(60 * minute, 55.0, 0)).collect()
}
