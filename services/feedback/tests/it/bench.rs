//! A feedback service on a bench: its worker, its handler, its archive in a folder, and what behavior tells and answers.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use petty_chassis::ApiError;
use petty_chassis::events::{Event, topics};
use petty_chassis::grpc::gate::Guarded;
use petty_chassis::types::{AccountId, PetId};
use petty_feedback::archive::Archive;
use petty_feedback::episodes::EpisodeSource;
use petty_feedback::grpc::Grpc;
use petty_feedback::worker::Worker;
use petty_feedback::{Config, migrations};
use petty_proto::behavior::v1 as behavior;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::{BehaviorChanged, DataErased};
use petty_proto::feedback::v1 as wire;
use petty_proto::feedback::v1::feedback::Verdict;
use petty_proto::feedback::v1::feedback_service_server::FeedbackService as _;
use petty_testbench::{Plan, at};
use serde_json::Value;
use tempfile::TempDir;
use tonic::Status;

pub(crate) struct Bench {
    bench: petty_testbench::Bench,
    pub(crate) grpc: Guarded<Grpc>,
    pub(crate) archive: Archive,
    /// What behavior would answer.
    pub(crate) episodes: Episodes,
    folder: TempDir,
}

impl Deref for Bench {
    type Target = petty_testbench::Bench;

    fn deref(&self) -> &Self::Target {
        &self.bench
    }
}

pub(crate) fn plan() -> Plan {
    Plan::new("feedback", migrations())
}

impl Bench {
    /// One with a database of this name and an archive in a folder, whose events are applied by hand.
    pub(crate) async fn new(name: &str) -> Self {
        Self::on(plan(), name).await
    }

    /// One that can consume.
    pub(crate) async fn consuming(name: &str) -> Self {
        Self::on(plan().consuming(), name).await
    }

    async fn on(plan: Plan, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().join("archive").display());
        Self::lay(plan.with("PETTY_ARCHIVE_URL", url), name, folder).await
    }

    /// One without an archive, or with one that the plan names.
    pub(crate) async fn planned(plan: Plan, name: &str) -> Self {
        Self::lay(plan, name, tempfile::tempdir().unwrap()).await
    }

    async fn lay(plan: Plan, name: &str, folder: TempDir) -> Self {
        let mut bench = plan.lay(name).await;
        let archive = archive(&bench);
        let shards = bench.base.events.shards();
        bench.employ(Arc::new(Worker::new(bench.clock.clone(), shards, archive.clone())));
        let episodes = Episodes::default();
        let grpc = bench.guard(Grpc::new(&bench.base, Box::new(episodes.clone()), archive.clone()));
        Self { bench, grpc, archive, episodes, folder }
    }

    /// Another replica's archive.
    pub(crate) fn replica(&self) -> Archive {
        archive(&self.bench)
    }

    /// A pet with an event of which it was told.
    pub(crate) async fn told_pet(&self, nth: u128) -> (PetId, AccountId, Told) {
        let pet = self.pet_id();
        let told = Told::new(pet, nth);
        self.tell(&told).await;
        (pet, self.owner_of(pet), told)
    }

    /// Applies what became of an episode.
    pub(crate) async fn tell(&self, told: &Told) {
        self.apply(&self.told(told)).await.unwrap();
    }

    pub(crate) fn told(&self, told: &Told) -> Event {
        self.event(&topics::BEHAVIOR_CHANGED, told.pet, told.version, &told.payload())
    }

    pub(crate) async fn submit(
        &self,
        account: AccountId,
        request: wire::SubmitFeedbackRequest,
    ) -> Result<wire::SubmitFeedbackResponse, Status> {
        Ok(self.grpc.submit_feedback(self.request(account, request)).await?.into_inner())
    }

    pub(crate) async fn create(
        &self,
        account: AccountId,
        request: wire::CreateFeedbackRequest,
    ) -> Result<wire::Feedback, Status> {
        Ok(self.grpc.create_feedback(self.request(account, request)).await?.into_inner())
    }

    /// Says it of an event, which goes well.
    pub(crate) async fn say(&self, account: AccountId, told: &Told, verdict: Verdict) -> wire::Feedback {
        self.create(account, creation(told, verdict)).await.unwrap()
    }

    pub(crate) async fn list(
        &self,
        account: AccountId,
        request: wire::ListFeedbackRequest,
    ) -> Result<wire::ListFeedbackResponse, Status> {
        Ok(self.grpc.list_feedback(self.request(account, request)).await?.into_inner())
    }

    /// The archive's folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    /// The archive's objects by name, each as its lines.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<Value>> {
        let mut objects = BTreeMap::new();
        gather(&self.folder(), "", &mut objects);
        objects
    }

    /// All lines of the archive.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.objects().into_values().flatten().collect()
    }

    /// The pets of which it was told that they are forgotten.
    pub(crate) async fn erased(&self) -> Vec<String> {
        let written = self.outbox::<DataErased>(&topics::DATA_ERASED).await;
        written.into_iter().map(|written| written.payload.pet_id).collect()
    }
}

fn archive(bench: &petty_testbench::Bench) -> Archive {
    let config: Config = bench.config();
    Archive::new(&bench.base.context, &bench.base.db, bench.base.events.shards(), config.archive)
}

fn gather(folder: &Path, name: &str, objects: &mut BTreeMap<String, Vec<Value>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let name = format!("{name}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            gather(&entry.path(), &name, objects);
        } else {
            objects.insert(name, lines(&fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// An object's lines.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn submission(told: &Told, text: &str) -> wire::SubmitFeedbackRequest {
    wire::SubmitFeedbackRequest { event_id: told.id(), user_feedback: text.to_owned(), ..Default::default() }
}

pub(crate) fn creation(told: &Told, verdict: Verdict) -> wire::CreateFeedbackRequest {
    wire::CreateFeedbackRequest { event_id: told.id(), verdict: verdict.into(), ..Default::default() }
}

pub(crate) fn listing(told: &Told) -> wire::ListFeedbackRequest {
    wire::ListFeedbackRequest { event_id: told.id(), ..Default::default() }
}

/// What the behavior service tells of an episode.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) pet: PetId,
    /// Makes the id.
    pub(crate) nth: u128,
    pub(crate) version: i64,
    pub(crate) behavior: Behavior,
    pub(crate) rule: &'static str,
    pub(crate) rule_version: &'static str,
    pub(crate) replaced_by: Option<Vec<u128>>,
}

impl Told {
    /// Resting before noon, at version 1.
    pub(crate) fn new(pet: PetId, nth: u128) -> Self {
        let (rule, rule_version) = ("resting", "spine/1");
        Self { pet, nth, version: 1, behavior: Behavior::Resting, rule, rule_version, replaced_by: None }
    }

    pub(crate) fn id(&self) -> String {
        event_id(self.nth)
    }

    pub(crate) fn episode(&self) -> behavior::Episode {
        let evidence = behavior::Evidence {
            rule: self.rule.to_owned(),
            rule_version: self.rule_version.to_owned(),
            readings: 4,
            mean_heart_rate: Some(55.25),
            ..behavior::Evidence::default()
        };
        behavior::Episode {
            episode_id: self.id(),
            pet_id: self.pet.to_string(),
            behavior: self.behavior.into(),
            start_time: Some(at(-600).into()),
            end_time: Some(at(-300).into()),
            open: false,
            confidence: 0.75,
            evidence: Some(evidence),
            version: i32::try_from(self.version).unwrap(),
        }
    }

    pub(crate) fn payload(&self) -> BehaviorChanged {
        BehaviorChanged {
            episode: Some(self.episode()),
            superseded: self.replaced_by.is_some(),
            replaced_by: self.replaced_by.iter().flatten().copied().map(event_id).collect(),
        }
    }
}

pub(crate) fn event_id(nth: u128) -> String {
    format!("evt_{nth:032x}")
}

/// What behavior would answer. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Episodes {
    inner: Arc<Mutex<Answers>>,
}

#[derive(Debug, Default)]
struct Answers {
    known: BTreeMap<String, behavior::Episode>,
    asked: usize,
    away: bool,
}

impl Episodes {
    /// This is what it answers to whom asks for an id.
    pub(crate) fn answer(&self, id: &str, episode: behavior::Episode) {
        self.inner.lock().unwrap().known.insert(id.to_owned(), episode);
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.inner.lock().unwrap().away = away;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.inner.lock().unwrap().asked
    }
}

#[tonic::async_trait]
impl EpisodeSource for Episodes {
    async fn describe(&self, episode_id: &str) -> Result<Option<behavior::Episode>, ApiError> {
        let mut answers = self.inner.lock().unwrap();
        answers.asked += 1;
        if answers.away {
            return Err(ApiError::unavailable("EVENT_UNKNOWN", "behavior is away"));
        }
        Ok(answers.known.get(episode_id).cloned())
    }
}
