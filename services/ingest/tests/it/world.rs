//! One test's world: a database of its own, a clock that stands still, an auth that answers what the test said.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use petty_chassis::access::Role;
use petty_chassis::access::{Access, AccessSource, Asker, Decision, Pairing, Target};
use petty_chassis::caller::{Claims, DeviceClaims, KeySource, TOKEN_TYPE, Verifier};
use petty_chassis::config::{self, BaseConfig, Environment};
use petty_chassis::grpc::gate::{Gate, Guarded};
use petty_chassis::postgres::{Db, Error, Row, ToSql};
use petty_chassis::types::{AccountId, Clock, CollarId, PairingId, PetId, SessionId};
use petty_chassis::{ApiError, Context, Foundation, Shutdown, Tasks};
use petty_ingest::IngestConfig;
use petty_ingest::grpc::Grpc;
use petty_ingest::store::Store;
use petty_proto::auth::v1 as auth;
use petty_proto::events::v1::ReadingsAccepted;
use petty_proto::ingest::v1 as wire;
use petty_proto::ingest::v1::ingest_service_server::IngestService;
use petty_proto::ingest::v1::reading_service_server::ReadingService;
use prost::Message as _;
use secrecy::ExposeSecret as _;
use tonic::{Request, Response, Status};
use tonic_types::StatusExt as _;

const KID: &str = "test";
/// Noon, so that there is a morning and an afternoon.
pub(crate) const NOON: &str = "2026-06-15T12:00:00Z";

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) db: Db,
    pub(crate) store: Store,
    pub(crate) shards: i16,
    guarded: Guarded<Grpc>,
    auth: Arc<Mutex<Auth>>,
    key: Arc<Key>,
    shutdown: Shutdown,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.begin();
        self.shutdown.cancel();
    }
}

/// What auth knows.
#[derive(Default)]
struct Auth {
    pairings: HashMap<CollarId, Vec<(AccountId, Pairing)>>,
    roles: HashMap<(AccountId, PetId), Role>,
    away: bool,
}

/// Somebody with a token.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) account: AccountId,
    pub(crate) token: String,
}

struct Key {
    der: Vec<u8>,
    public: Vec<u8>,
}

impl World {
    pub(crate) async fn new(name: &str) -> Self {
        let key = Arc::new(Key::new());
        let environment = environment(name, &key).await;
        let (base, config) = config::load::<(BaseConfig, IngestConfig)>(&environment).unwrap();
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        let clock = Clock::manual(at(NOON));
        let context =
            Context { clock: clock.clone(), ..Context::new("ingest", base, shutdown.clone(), &tasks) };
        let base = Foundation::lay(&context, &config.foundation, petty_ingest::migrations()).await.unwrap();
        let store = Store::new(&context, &base.db, base.events.shards());
        store.make_partitions(config.window).await.unwrap();
        let auth = Arc::new(Mutex::new(Auth::default()));
        let verifier = Verifier::new(Box::new(Keys(key.clone())), "petty", "petty", clock.clone());
        let gate = Gate::new(verifier, Access::direct(Box::new(Answers(auth.clone())), clock.clone()));
        let guarded = gate.guard(Arc::new(Grpc::new(&context, &store, config.window)));
        Self { clock, db: base.db, store, shards: base.events.shards(), guarded, auth, key, shutdown }
    }

    pub(crate) fn person(&self) -> Person {
        self.person_with("read write")
    }

    pub(crate) fn person_with(&self, scope: &str) -> Person {
        let account = AccountId::new(&self.clock);
        Person { account, token: self.token(account.to_string(), scope, None) }
    }

    /// The token of a collar that was paired by somebody.
    pub(crate) fn device(&self, collar: &str, pet: PetId, by: &Person) -> Person {
        let claims = DeviceClaims { pet, account: by.account };
        let token = self.token(collar.to_owned(), "readings:write pets:read", Some(claims));
        Person { account: by.account, token }
    }

    fn token(&self, sub: String, scope: &str, device: Option<DeviceClaims>) -> String {
        let now = self.clock.now().as_second();
        let claims = Claims {
            iss: "petty".to_owned(),
            aud: "petty".to_owned(),
            sub,
            exp: now + 10 * 365 * 86_400,
            nbf: now,
            iat: now,
            jti: SessionId::new(&self.clock).to_string(),
            scope: scope.to_owned(),
            sid: SessionId::new(&self.clock),
            device,
        };
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(KID.to_owned());
        jsonwebtoken::encode(&header, &claims, &jsonwebtoken::EncodingKey::from_ed_der(&self.key.der))
            .unwrap()
    }

    pub(crate) fn pet(&self) -> PetId {
        PetId::new(&self.clock)
    }

    /// The collar was the pet's from `start` to `end`, and `person` is `role` to the pet.
    pub(crate) fn pair(
        &self,
        person: &Person,
        role: Role,
        collar: &str,
        pet: PetId,
        start: Timestamp,
        end: Option<Timestamp>,
    ) {
        let pairing = Pairing { pairing_id: PairingId::new(&self.clock), pet_id: pet, start, end, role };
        let mut auth = self.auth.lock().unwrap();
        auth.pairings.entry(collar.parse().unwrap()).or_default().push((person.account, pairing));
        auth.roles.insert((person.account, pet), role);
    }

    /// Somebody's collar, on a pet of theirs since ever.
    pub(crate) fn owned(&self, person: &Person, collar: &str) -> PetId {
        let pet = self.pet();
        self.pair(person, Role::Owner, collar, pet, at("2020-01-01T00:00:00Z"), None);
        pet
    }

    /// auth cannot be reached from now on.
    pub(crate) fn auth_is_away(&self) {
        self.auth.lock().unwrap().away = true;
    }

    pub(crate) async fn ingest(
        &self,
        person: &Person,
        reading: wire::Reading,
    ) -> Result<wire::IngestReadingResponse, Status> {
        let request = wire::IngestReadingRequest {
            collar_id: reading.collar_id,
            timestamp: reading.timestamp,
            heart_rate: reading.heart_rate,
            activity_level: reading.activity_level,
            location: reading.location,
            temperature: reading.temperature,
            skin_temperature: reading.skin_temperature,
            respiratory_rate: reading.respiratory_rate,
            battery_level: reading.battery_level,
            sequence_id: reading.sequence_id,
        };
        self.guarded.ingest_reading(signed(person, request)).await.map(Response::into_inner)
    }

    pub(crate) async fn ingest_batch(
        &self,
        person: &Person,
        readings: Vec<wire::Reading>,
    ) -> Result<wire::IngestReadingsResponse, Status> {
        let request = wire::IngestReadingsRequest { readings };
        self.guarded.ingest_readings(signed(person, request)).await.map(Response::into_inner)
    }

    pub(crate) async fn realtime(
        &self,
        person: &Person,
        collar: &str,
    ) -> Result<wire::GetRealtimeResponse, Status> {
        let request = wire::GetRealtimeRequest { collar_id: collar.to_owned() };
        self.guarded.get_realtime(signed(person, request)).await.map(Response::into_inner)
    }

    pub(crate) async fn list(
        &self,
        person: &Person,
        request: wire::ListReadingsRequest,
    ) -> Result<wire::ListReadingsResponse, Status> {
        self.guarded.list_readings(signed(person, request)).await.map(Response::into_inner)
    }

    pub(crate) async fn rows(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.db.read("test", |tx| async move { tx.query(sql, parameters).await }).await.unwrap()
    }

    /// Every reading in the table: collar, time, pet; by collar and time.
    pub(crate) async fn stored(&self) -> Vec<(String, i64, PetId)> {
        let sql = "-- stored\nSELECT c.collar_id, r.measured_at, r.pet_id FROM readings r JOIN collars c USING (collar_key)
                   ORDER BY 1, 2";
        let rows = self.rows(sql, &[]).await;
        rows.iter()
            .map(|row| (row.get(0), row.get::<_, Timestamp>(1).as_microsecond(), PetId(row.get(2))))
            .collect()
    }

    /// Every reading in the outbox: collar, time, pet; by collar and time. Entries are checked for their form.
    pub(crate) async fn announced(&self) -> Vec<(String, i64, PetId)> {
        let mut all = Vec::new();
        for (shard, entry) in self.entries().await {
            assert!(!entry.pets.is_empty());
            assert!(
                entry.pets.is_sorted_by(|a, b| a.pet_id < b.pet_id),
                "pets are sorted and each is there once"
            );
            for pet in entry.pets {
                let pet_id: PetId = pet.pet_id.parse().unwrap();
                assert_eq!(petty_chassis::events::shard_of(pet_id, self.shards), shard);
                assert!(!pet.readings.is_empty());
                assert!(pet.readings.is_sorted_by_key(|reading| reading.time_us));
                all.extend(
                    pet.readings.into_iter().map(|reading| (reading.collar_id, reading.time_us, pet_id)),
                );
            }
        }
        all.sort();
        all
    }

    /// The entries of `readings.accepted`, with their shards.
    pub(crate) async fn entries(&self) -> Vec<(i16, ReadingsAccepted)> {
        let sql = "-- entries\nSELECT shard, subject, version, payload FROM event_outbox
                   WHERE topic = 'readings.accepted' ORDER BY id";
        let rows = self.rows(sql, &[]).await;
        rows.iter()
            .map(|row| {
                assert!(row.get::<_, uuid::Uuid>(1).is_nil());
                assert_eq!(row.get::<_, i64>(2), 0);
                (row.get(0), ReadingsAccepted::decode(row.get::<_, Vec<u8>>(3).as_slice()).unwrap())
            })
            .collect()
    }

    /// The collar's latest state: time and pet.
    pub(crate) async fn latest(&self, collar: &str) -> Option<(i64, PetId)> {
        let sql = "-- latest\nSELECT measured_at, pet_id FROM latest_states JOIN collars USING (collar_key)
                   WHERE collar_id = $1";
        let rows = self.rows(sql, &[&collar]).await;
        rows.first().map(|row| (row.get::<_, Timestamp>(0).as_microsecond(), PetId(row.get(1))))
    }

    /// Runs `work` in a transaction, as a consumer would.
    pub(crate) async fn erase(&self, pet: PetId) -> u64 {
        let store = &self.store;
        self.db
            .transaction("test", |tx| async move {
                let erased = store.erase(&tx, pet).await?;
                store.announce_erased(&tx, pet).await?;
                Ok::<_, Error>(erased)
            })
            .await
            .unwrap()
    }
}

/// Everything that ingest reads, for a database of this name.
pub(crate) async fn environment_of(name: &str) -> Environment {
    environment(name, &Key::new()).await
}

async fn environment(name: &str, key: &Key) -> Environment {
    let stack = petty_provision::shared().await.unwrap();
    let database = stack.postgres().ensure_database(name).await.unwrap();
    let public = STANDARD.encode(&key.public);
    let keys = serde_json::json!({ "ingest": public, "gateway": public, "auth": public });
    Environment::default()
        .with("PETTY_GRPC_LISTEN", "127.0.0.1:0")
        .with("PETTY_ADMIN_LISTEN", "127.0.0.1:0")
        .with("PETTY_SERVICE_KEY", key.pem())
        .with("PETTY_SERVICE_KEYS", keys.to_string())
        .with("PETTY_ENDPOINT_AUTH", "http://127.0.0.1:1")
        .with("PETTY_DATABASE_URL", database.runtime_url.expose_secret())
        .with("PETTY_MIGRATION_URL", database.owner_url.expose_secret())
        .with("PETTY_EVENTS_REDIS_URL", stack.redis().url().expose_secret())
}

impl Key {
    fn new() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Self { der: document.as_ref().to_vec(), public: pair.public_key().as_ref().to_vec() }
    }

    fn pem(&self) -> String {
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(&self.der))
    }
}

struct Keys(Arc<Key>);

#[async_trait]
impl KeySource for Keys {
    async fn keys(&self) -> Result<auth::Jwks, ApiError> {
        let key = auth::Jwk {
            kty: "OKP".to_owned(),
            kid: KID.to_owned(),
            r#use: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
            crv: Some("Ed25519".to_owned()),
            x: Some(URL_SAFE_NO_PAD.encode(&self.0.public)),
            ..auth::Jwk::default()
        };
        Ok(auth::Jwks { keys: vec![key] })
    }
}

struct Answers(Arc<Mutex<Auth>>);

#[async_trait]
impl AccessSource for Answers {
    async fn check(&self, asker: &Asker<'_>, target: &Target) -> Result<Decision, ApiError> {
        let auth = self.0.lock().unwrap();
        if auth.away {
            return Err(ApiError::unavailable("ACCESS_UNKNOWN", "auth is away"));
        }
        let account = asker.caller.account_id();
        let (mut role, mut pairings) = (None, Vec::new());
        match (target, asker.caller.device()) {
            (Target::Session, _) => {}
            (Target::Pet(pet), None) => role = auth.roles.get(&(account, *pet)).copied(),
            (Target::Pet(pet), Some((_, own))) => role = (own == *pet).then_some(Role::Caregiver),
            (Target::Collar(collar), device) => {
                let own = device.is_none_or(|(own, _)| own == collar);
                let all = auth.pairings.get(collar).into_iter().flatten();
                let mine = all.filter(|(whose, _)| own && *whose == account).map(|(_, pairing)| *pairing);
                pairings.extend(mine.map(|pairing| match device {
                    None => pairing,
                    Some(_) => Pairing { role: Role::Caregiver, ..pairing },
                }));
            }
        }
        Ok(Decision { role, pairings, expires: None })
    }
}

fn signed<M>(person: &Person, message: M) -> Request<M> {
    let mut request = Request::new(message);
    if !person.token.is_empty() {
        request.metadata_mut().insert("authorization", format!("Bearer {}", person.token).parse().unwrap());
    }
    request
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// So many seconds before noon.
pub(crate) fn ago(seconds: i64) -> Timestamp {
    at(NOON) - SignedDuration::from_secs(seconds)
}

/// A heart rate, measured then.
pub(crate) fn reading(collar: &str, time: Timestamp) -> wire::Reading {
    wire::Reading {
        collar_id: collar.to_owned(),
        timestamp: Some(time.into()),
        heart_rate: Some(80.0),
        ..wire::Reading::default()
    }
}

pub(crate) fn place(longitude: f64, latitude: f64) -> Option<wire::Location> {
    Some(wire::Location {
        r#type: "Point".to_owned(),
        coordinates: vec![longitude, latitude],
        accuracy: Some(4.5),
    })
}

/// A refusal's code, reason, and fields at fault.
pub(crate) fn refusal(status: &Status) -> (tonic::Code, String, Vec<String>) {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    let fields =
        details.bad_request().map(|bad| bad.field_violations.iter().map(|one| one.field.clone()).collect());
    (status.code(), reason, fields.unwrap_or_default())
}
