//! A timeline service on a bench: its worker, its handler, and what it is told of episodes.

use std::ops::Deref;
use std::sync::Arc;

use petty_chassis::events::{Event, topics};
use petty_chassis::grpc::gate::Guarded;
use petty_chassis::types::PetId;
use petty_proto::behavior::v1 as behavior;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::BehaviorChanged;
use petty_testbench::{Pets, Plan, at};
use petty_timeline::grpc::Grpc;
use petty_timeline::stream::Hub;
use petty_timeline::worker::Worker;
use petty_timeline::{StreamConfig, migrations, pets, retention};

pub(crate) struct Bench {
    bench: petty_testbench::Bench,
    /// What auth would say.
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
    Plan::new("timeline", migrations())
}

impl Bench {
    /// One with a database of this name, whose events are applied by hand.
    pub(crate) async fn new(name: &str) -> Self {
        Self::on(plan().lay(name).await).await
    }

    /// One that can consume.
    pub(crate) async fn consuming(name: &str) -> Self {
        Self::on(plan().consuming().lay(name).await).await
    }

    /// On a bench of its own making.
    pub(crate) async fn on(mut bench: petty_testbench::Bench) -> Self {
        let config: StreamConfig = bench.config();
        retention::start(&bench.base.context, &bench.base.db, config.retention).await.unwrap();
        let hub = Hub::start(&bench.base, config);
        let worker = Worker::new(bench.clock.clone(), bench.base.events.shards(), hub.clone());
        bench.employ(Arc::new(worker));
        let known = Pets::default();
        let grpc = handler(&bench, &known, hub);
        Self { bench, pets: known, grpc }
    }

    /// Another replica's handler, with streams of its own.
    pub(crate) fn replica(&self) -> Guarded<Grpc> {
        handler(&self.bench, &self.pets, Hub::start(&self.base, self.config()))
    }

    /// A collar was worn by a pet, by seconds after noon.
    pub(crate) fn wear(&self, collar: &str, pet: PetId, from: i64, to: Option<i64>) {
        self.access.wear(&self.clock, collar, pet, at(from), to.map(at));
    }

    /// Applies what became of an episode.
    pub(crate) async fn tell(&self, told: &Told) {
        self.apply(&self.told(told)).await.unwrap();
    }

    pub(crate) fn told(&self, told: &Told) -> Event {
        self.event(&topics::BEHAVIOR_CHANGED, told.pet, told.version, &told.payload())
    }
}

fn handler(bench: &petty_testbench::Bench, known: &Pets, hub: Hub) -> Guarded<Grpc> {
    let (db, clock) = (bench.base.db.clone(), bench.clock.clone());
    let pets = pets::Pets::new(db.clone(), clock.clone(), Box::new(known.clone()));
    bench.guard(Grpc::new(db, clock, hub, pets))
}

/// What the behavior service tells of an episode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) pet: PetId,
    /// Makes the id.
    pub(crate) nth: u128,
    pub(crate) version: i64,
    pub(crate) behavior: Behavior,
    /// Seconds after noon.
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) open: bool,
    pub(crate) superseded: bool,
}

impl Told {
    /// Closed, at version 1.
    pub(crate) fn new(pet: PetId, nth: u128, behavior: Behavior, from: i64, to: i64) -> Self {
        Self { pet, nth, version: 1, behavior, from, to, open: false, superseded: false }
    }

    pub(crate) fn id(&self) -> String {
        format!("evt_{:032x}", self.nth)
    }

    pub(crate) fn payload(&self) -> BehaviorChanged {
        let evidence = behavior::Evidence {
            rule: "a_rule".to_owned(),
            rule_version: "spine/1".to_owned(),
            readings: 4,
            mean_heart_rate: Some(55.25),
            ..behavior::Evidence::default()
        };
        let episode = behavior::Episode {
            episode_id: self.id(),
            pet_id: self.pet.to_string(),
            behavior: self.behavior.into(),
            start_time: Some(at(self.from).into()),
            end_time: Some(at(self.to).into()),
            open: self.open,
            confidence: 0.75,
            evidence: Some(evidence),
            version: i32::try_from(self.version).unwrap(),
        };
        BehaviorChanged { episode: Some(episode), superseded: self.superseded, replaced_by: Vec::new() }
    }
}
